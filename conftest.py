"""Every fixture and option of the claims."""

from fixtures import PLUGINS

pytest_plugins = ["pytester", "fixtures.early", *PLUGINS]
