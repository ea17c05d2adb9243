"""Document → resources → snapshot → ADS. Everything but `ads_server` is free of I/O."""
