"""What the cluster agrees on, kept in etcd: who leads, who lives, who crawls what."""
