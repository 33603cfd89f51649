"""Runs workloads on the nodes of a Ray cluster.

backend    what the platform calls
placement  all that is asked of Ray: where hosts run, whether they live, their end
follower   one for each workload, on the platform's machine: keeps its bundle there as if it ran beside it
host       one for each workload, on a node: an actor of Ray that has the ordinary agent run it
wire       what follower and host say to each other, without Ray in between
"""
