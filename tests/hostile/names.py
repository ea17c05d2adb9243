"""The service that attackers call, apart from the one of honest callers."""

SERVICE = "hit.Hit"
WHO = f"/{SERVICE}/Who"
LARGE = f"/{SERVICE}/Large"
UPLOAD = f"/{SERVICE}/Upload"
