"""How a process is set up: flags over environment over file over defaults, checked once.

Every setting has one name. ``ttl`` is ``--ttl`` as a flag, ``CRAWLER_TTL`` in the environment and
``ttl`` in the TOML file, at the top or in the table of the role (``[master]``, ``[worker]``,
``[up]``, ``[edge]``), where the table wins. ``etcd_password`` has no flag: anybody could read it in
the process list.
"""

from crawler.config.checks import Listen
from crawler.config.settings import EdgeConfig, MasterConfig, NodeConfig, UpConfig, WorkerConfig
from crawler.config.sources import (
    edge_config,
    flag_name,
    master_config,
    read_authority,
    read_entrusted,
    read_file,
    read_insecure,
    read_level,
    read_networks,
    read_store,
    read_token,
    up_config,
    variable_name,
    worker_config,
)
from crawler.config.supervision import Supervision, read_supervision
from crawler.config.table import data_home, sqlite_url

__all__ = [
    "EdgeConfig",
    "Listen",
    "MasterConfig",
    "NodeConfig",
    "Supervision",
    "UpConfig",
    "WorkerConfig",
    "data_home",
    "edge_config",
    "flag_name",
    "master_config",
    "read_authority",
    "read_entrusted",
    "read_file",
    "read_insecure",
    "read_level",
    "read_networks",
    "read_store",
    "read_supervision",
    "read_token",
    "sqlite_url",
    "up_config",
    "variable_name",
    "worker_config",
]
