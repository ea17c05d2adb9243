"""Where `make containers` keeps what it makes."""

from local_aws.demo.play import SEED
from local_aws.layout import ROOT, Layout, TasksAs

CACHE = ROOT / "build" / "containers"
STORAGE = CACHE / "storage"
CONFIGURATION = CACHE / "configuration"
WHEELS = CACHE / "wheels"
ASSEMBLY = CACHE / "cdk.out"
BUILT = CACHE / "images.json"
LOCK = ROOT / "build" / "containers.lock"
FIGURES = ROOT / "build" / "containers.json"
# Its folder is made again with each run, so it is not the cache.
RUN = Layout(name="in-containers", tasks_as=TasksAs.CONTAINERS, assembly=ASSEMBLY, seed=SEED)
SHORT = "--short"
"""The option for a shorter demo."""
TESTS = "--tests"
"""The option for the tests of the images without the demo."""
CLAIMS = "--claims"
"""The option for the demo without the tests of the images."""
