"""A real S3 server on an address of this machine, and a proxy before it that does what networks do. Neither needs root.

with served() as server, faulty(server) as proxy:
    os.environ |= proxy.environment            # what obstore, polars and boto3 read; server.environment: without faults
    proxy.set(unavailable=0.2, cut_put=0.1)    # from now on; proxy.set() ends all faults
    proxy.happened()                           # Counter of the faults until now
"""

from s3.start import BUCKET, Proxy, Server, faulty, served

__all__ = ["BUCKET", "Proxy", "Server", "faulty", "served"]
