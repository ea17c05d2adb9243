"""The whole stack on one machine: a local AWS, tasks as processes, a real layer-4 balancer where the template has one."""
