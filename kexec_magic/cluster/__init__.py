"""The cluster as we find it: kubeconfig, credentials, one way to connect, the few REST reads, and targets."""
