"""A project in a bucket: files read from it, tables written to it, a second delivery, a run that is killed.

stores.py BINARY PROJECT AZURITE: for S3 (moto) and for Azure (azurite, left out when AZURITE is empty) each a server is
started on a free port, PROJECT is run with its warehouse there, and its tables are read back by deltalake.
"""

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST = b"id,name,country\n1,Ada,GB\n2,Grace,US\nx,Nobody,US\n"
SECOND = b"id,name,country\n3,Emmy,DE\n2,Grace again,US\n"
# The account that every emulator of Azure's storage has; it is no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


class S3:
    """moto's server, which refuses a second put where the first must win."""

    name, bucket = "S3", "s3://lake"

    def __init__(self, folder):
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        self.server.start()
        url = "http://{}:{}".format(*self.server.get_host_and_port())
        self.environment = {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": url,
            "AWS_ALLOW_HTTP": "true",
        }
        import boto3

        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket="lake")

    def put(self, key, content):
        self.client.put_object(Bucket="lake", Key=key, Body=content)

    def stop(self):
        self.server.stop()


class Azure:
    """azurite, Microsoft's emulator."""

    name, bucket = "Azure", "az://lake"

    def __init__(self, folder, program):
        port = free_port()
        self.server = subprocess.Popen(
            [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence",
             "--blobHost", "127.0.0.1", "--blobPort", str(port)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(port)
        url = f"http://127.0.0.1:{port}"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": url,
            "AZURE_ALLOW_HTTP": "true",
        }
        from azure.storage.blob import BlobServiceClient

        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url}/{ACCOUNT};"
        )
        self.client = BlobServiceClient.from_connection_string(connection)
        self.client.create_container("lake")

    def put(self, key, content):
        self.client.get_blob_client("lake", key).upload_blob(content, overwrite=True)

    def stop(self):
        self.server.terminate()
        self.server.wait()


def same(what, seen, wanted):
    if seen != wanted:
        raise SystemExit(f"{what}: {seen!r} instead of {wanted!r}")
    print(f"  ok  {what}")


def rows(store, table):
    from deltalake import DeltaTable

    found = DeltaTable(f"{store.bucket}/warehouse/{table}")
    return found.to_pyarrow_table().to_pylist()


def try_store(store, binary, source, folder):
    project = folder / store.name
    shutil.copytree(source, project)
    (project / "tidegate.toml").write_text(
        f'name = "stores"\nwarehouse = "{store.bucket}/warehouse"\n\n[configuration]\nbucket = "{store.bucket}"\n'
    )
    os.environ.update(store.environment)  # for the binary and for deltalake alike

    def tidegate(*arguments, kill_after=None):
        running = subprocess.Popen(
            [binary, *arguments], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if kill_after is not None:
            time.sleep(kill_after)
            running.kill()
        said, _ = running.communicate(timeout=120)
        if kill_after is None and running.returncode != 0:
            raise SystemExit(f"{store.name}: {arguments} ended with {running.returncode}\n{said}")
        return said

    store.put("in/first.csv", FIRST)
    tidegate("run")
    good = [{"id": 1, "name": "Ada", "country": "GB"}, {"id": 2, "name": "Grace", "country": "US"}]
    by_id = lambda found: sorted(found, key=lambda row: row["id"])
    same(f"{store.name}: good rows", by_id(rows(store, "payments")), good)
    same(f"{store.name}: bad rows", len(rows(store, "payments__quarantine")), 1)
    same(f"{store.name}: a run without news", "nothing new" in tidegate("run"), True)
    store.put("in/second.csv", SECOND)
    for pause in (0.02, 0.05, 0.1, 0.2):
        tidegate("run", kill_after=pause)
    tidegate("run")
    good.append({"id": 3, "name": "Emmy", "country": "DE"})
    same(f"{store.name}: after four kills", by_id(rows(store, "payments")), good)
    same(f"{store.name}: bad rows after four kills", len(rows(store, "payments__quarantine")), 2)
    counts = {row["country"]: row["payments"] for row in rows(store, "by_country")}
    same(f"{store.name}: the view", counts, {"GB": 1, "US": 1, "DE": 1})


def main():
    binary, source, azurite = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kinds = [lambda: S3(folder)]
        if azurite:
            kinds.append(lambda: Azure(folder, azurite))
        for kind in kinds:
            store = kind()
            try:
                try_store(store, binary, source, folder)
            finally:
                store.stop()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # as in readback.py: without waiting for the threads of the libraries
