"""Runs workloads on the nodes of a Ray cluster.

backend    what the platform calls
cluster    what it knows of the cluster
placement  all that is asked of Ray: where hosts run, whether they live, their end
relay      carries requests to model servers
follower   one for each workload, on the platform's machine: keeps its bundle there as if it ran beside it
host       one for each workload, on a node, in an actor of Ray: has the ordinary agent run it
tether     ends the workload on the node when its host is gone
wire       what follower and host say to each other, without Ray in between
"""
