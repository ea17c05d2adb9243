"""Which calls a service takes and how: docker labels, policies, and what services of one balancer share."""
