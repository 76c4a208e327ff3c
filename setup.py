from setuptools import setup

setup()  # everything stands in pyproject.toml; Beam's --setup_file needs this file
