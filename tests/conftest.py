pytest_plugins = ["reliability"]
