"""The whole stack on one machine: a local AWS, tasks as processes, real load balancers where the template has NLBs."""
