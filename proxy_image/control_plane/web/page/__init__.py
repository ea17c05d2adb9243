"""The web page: HTML made on the server, kept up to date by one small script. It reads; there is nothing to press."""
