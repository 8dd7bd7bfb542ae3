# The app with its API and command line, without TensorFlow: an image to serve, not to train.
# docker build -t leukoscope .   (compose.yaml runs two of it behind nginx, with PostgreSQL)
# It listens to other machines, so it starts only with single sign-on, API tokens, or
# LEUKOSCOPE_OPEN_ACCESS=true.

# For a fixed base image, give its digest (docs/deployment.md says how to get it): --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY locks/serve.txt /build/
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes -r /build/serve.txt \
 && find /opt/venv -type d -name tests -prune -exec rm -rf {} +
COPY . /opt/leukoscope
WORKDIR /opt/leukoscope
RUN /opt/venv/bin/python deploy/notices.py > THIRD_PARTY_NOTICES.txt \
 && /opt/venv/bin/python -m compileall -q .

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --user-group --no-create-home leukoscope \
 && install -d -m 700 -o leukoscope -g leukoscope /var/lib/leukoscope
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/leukoscope /opt/leukoscope
# The server writes to the store and /tmp only, so the rest can be mounted read-only.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp LEUKOSCOPE_STORE=/var/lib/leukoscope \
    LEUKOSCOPE_SLIDE_CACHE=/var/lib/leukoscope/slide_cache \
    LEUKOSCOPE_SLIDE_UPLOADS=/var/lib/leukoscope/slide_uploads
WORKDIR /opt/leukoscope
USER 10001:10001
VOLUME /var/lib/leukoscope
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/api/health', timeout=4)"]
CMD ["python", "-m", "core", "serve", "--host", "0.0.0.0", "--port", "8501"]
