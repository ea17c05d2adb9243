"""The CDK CLI against the local AWS, and images as folders."""
