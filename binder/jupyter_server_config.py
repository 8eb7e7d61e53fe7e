"""Jupyter Server for the examples: Voila, which is an extension of it, shows Models as dashboards."""

from restified_magics.widgets.dashboard import prelaunch_hook

c = get_config()  # noqa: F821 - Jupyter gives it

c.VoilaConfiguration.prelaunch_hook = prelaunch_hook
c.VoilaConfiguration.template = "restified"
# a kernel whose page was left goes, after so many seconds
c.MappingKernelManager.cull_idle_timeout = 300
c.MappingKernelManager.cull_interval = 30
