"""Packaged configuration, installed as `lefi_conf`; a file of the same name in a workspace replaces it."""
