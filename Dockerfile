# Images of one environment, none of which runs as root:
#
#     docker build --target pipeline --tag autoencoders .   # `make repro`; with `make test`, the tests
#     docker build --target serve --tag champion .          # answers with what MLFLOW_TRACKING_URI has
#
# BASE may be any Debian that has Python 3.11 to 3.13 with venv; docs/machines.md says what was tried.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home pipeline && install --directory --owner=pipeline /srv/pipeline
# By number, from which an orchestrator sees that it is not root.
USER 10001
WORKDIR /srv/pipeline

FROM base AS environment
COPY --chown=10001 Makefile requirements.lock ./
RUN make .venv/.complete && rm -rf ~/.cache
ENV PATH=/srv/pipeline/.venv/bin:$PATH

FROM environment AS pipeline
COPY --chown=10001 . .
# The copy of requirements.lock is newer, and the same.
RUN touch .venv/.complete
CMD ["make", "repro"]

FROM environment AS serve
COPY --chown=10001 dvc.yaml params.yaml ./
COPY --chown=10001 pipeline pipeline
COPY --chown=10001 stages stages
EXPOSE 5001
CMD ["python", "-m", "pipeline", "serve", "--host", "0.0.0.0"]
