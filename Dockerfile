# The worker's image. Build arguments:
#   BASE                an image with Python 3.11 to 3.14 and its venv module
#   PIP_NO_INDEX=1      install from wheelhouse/ in the build context only, without a network
#   PIP_INDEX_URL       install from another package index
# The web page of `orchestrator serve` is part of the image if `make page` built it in this checkout before.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ARG PIP_NO_INDEX
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PIP_FIND_LINKS=/src/locked
WORKDIR /src
COPY requirements wheelhouse* locked/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --require-hashes -r locked/build.txt \
    && python3 -m venv --without-pip /opt/orchestrator \
    && /opt/build/bin/pip --python /opt/orchestrator install --quiet --require-hashes -r locked/worker.txt
COPY pyproject.toml README.md ./
COPY statemachine statemachine
COPY orchestrator orchestrator
RUN test -f orchestrator/server/page/index.html || echo "This image has no web page: run make page first, then build it again."
RUN /opt/build/bin/pip --python /opt/build wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/orchestrator install --quiet --no-deps --no-index dist/*.whl

FROM ${BASE} AS worker
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin worker \
    && install -d /var/lib/orchestrator && install -d -o worker -m 0700 /var/lib/orchestrator/worker
COPY --from=build /opt/orchestrator /opt/orchestrator
ENV PATH=/opt/orchestrator/bin:$PATH PYTHONUNBUFFERED=1 XDG_STATE_HOME=/var/lib/orchestrator/worker
USER worker
# no licence has been chosen yet, so none is named; the version is that of pyproject.toml
LABEL org.opencontainers.image.title="task-orchestrator" \
      org.opencontainers.image.description="A worker that runs queued tasks in isolated Docker containers, driven by one explicit state machine." \
      org.opencontainers.image.version="0.1.0"
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["python", "-m", "orchestrator", "health"]
ENTRYPOINT ["python", "-m", "orchestrator"]
CMD ["worker"]
