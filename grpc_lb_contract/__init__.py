"""What the Lambda, the balancer and the constructs agree on: docker labels in, the target document out.

Standard library only, because it is copied whole into the Lambda's asset and into the balancer's image.

Its names are those of `public.py`, which is imported with the first that is asked for. What needs one small module, as
the balancer's health check does every ten seconds, would otherwise spend a third of its time on all the others.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grpc_lb_contract.public import *  # noqa: F403 - it has an __all__
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        return getattr(import_module("grpc_lb_contract.public"), name)
