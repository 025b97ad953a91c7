# Two images of one Debian with the same Python 3.11 or newer as python3: one with pip, to build in; one to run on, which needs nothing else.
ARG BASE=python:3.11-slim
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
WORKDIR /src
# Whoever builds behind a proxy with an authority of its own gives it along: --secret id=authorities,src=ca.pem
RUN echo 'if [ -f /run/secrets/authorities ]; then export PIP_CERT=/run/secrets/authorities SSL_CERT_FILE=/run/secrets/authorities; fi' > /authorities
COPY requirements-image.lock requirements-runtime.lock ./
# Every package's hash is checked, those of the tools as well.
RUN --mount=type=secret,id=authorities . /authorities \
 && python3 -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
# Dependencies first: they change less often than the code.
RUN --mount=type=secret,id=authorities . /authorities \
 && python3 -m venv --without-pip /opt/retrainer \
 && /tools/bin/uv pip sync --no-cache --python /opt/retrainer/bin/python --require-hashes requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY retrainer retrainer
RUN --mount=type=secret,id=authorities . /authorities \
 && /tools/bin/uv pip install --no-cache --python /opt/retrainer/bin/python --no-deps .
# Two thirds of the weight are left out: Kubernetes' models and its asynchronous client, which `retrainer/util/light_imports.py` never imports, descriptions
# of AWS services that no source asks, and what only debuggers read.
RUN command -v strip >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null; }
RUN /tools/bin/uv pip uninstall --quiet --python /opt/retrainer/bin/python aiohttp aiohappyeyeballs aiosignal frozenlist multidict propcache yarl \
 && cd /opt/retrainer/lib/python3.*/site-packages \
 && rm -rf kubernetes/client/models kubernetes/client/api kubernetes/aio sqlalchemy/testing \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sqs ! -name sns ! -name 'sts*' ! -name 'sso*' -exec rm -rf {} + \
 && find . -name '*.so*' -exec strip --strip-unneeded {} + \
 && /opt/retrainer/bin/python -m compileall -q --invalidation-mode unchecked-hash .
# What is inside, as CycloneDX.
RUN mkdir -p /opt/retrainer/share/sbom \
 && /tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
      -o /opt/retrainer/share/sbom/retrainer.cdx.json /opt/retrainer/bin/python

FROM ${BASE}
COPY --from=build /opt/retrainer /opt/retrainer
ENV PATH=/opt/retrainer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The only folder that is written to: the store and the lock beside it. Mount a volume here.
RUN mkdir -p /var/lib/retrainer && chown 65532:65532 /var/lib/retrainer
WORKDIR /var/lib/retrainer
USER 65532:65532
EXPOSE 8080
# The exec form: the process gets SIGTERM itself, and has 25 s to settle what it took in.
ENTRYPOINT ["retrainer"]
CMD ["run", "-c", "/etc/retrainer/retrainer.yaml"]
