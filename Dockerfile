# docker build -t unetflow:0.1.0 .                             for the CPU
# docker build -t unetflow:0.1.0-gpu --build-arg DEVICE=gpu .  for NVIDIA's GPUs
FROM python:3.11.14-slim-bookworm

ARG DEVICE=cpu

ENV PATH=/srv/unetflow/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false

RUN useradd --uid 10001 --create-home unetflow \
    && mkdir -p /srv/unetflow/data /srv/unetflow/conf/local \
    && chown -R unetflow:unetflow /srv/unetflow

USER 10001
WORKDIR /srv/unetflow

COPY --chown=unetflow:unetflow pyproject.toml README.md LICENSE requirements.lock ./
COPY --chown=unetflow:unetflow src src
RUN python -m venv .venv \
    && pip install --no-cache-dir --constraint requirements.lock --editable . \
    && if [ "$DEVICE" = gpu ]; then \
        pip uninstall --yes tensorflow-cpu \
        && pip install --no-cache-dir --constraint requirements.lock "tensorflow[and-cuda]~=2.21.0"; \
    fi

COPY --chown=unetflow:unetflow conf conf

VOLUME /srv/unetflow/data
CMD ["kedro", "run", "--pipelines", "retraining"]
