# Two images of one Debian with the same Python 3.11 or newer as python3: one with pip, to build in; one to run on, which needs nothing else.
# A base is named with the digest that it had, so that it is the same one in a year: --build-arg BASE_DIGEST=sha256:…
ARG BASE=python:3.11-slim
ARG BASE_DIGEST=
ARG BUILD_BASE=${BASE}

# Built on the machine's own platform, whatever the image is for: nothing of it is run here.
FROM --platform=${BUILDPLATFORM} ${BUILD_BASE} AS build
WORKDIR /src
# Whoever builds behind a proxy with an authority of its own gives it along: --secret id=authorities,src=ca.pem
RUN echo 'if [ -f /run/secrets/authorities ]; then export PIP_CERT=/run/secrets/authorities SSL_CERT_FILE=/run/secrets/authorities; fi' > /authorities
# Of both platforms, as strip knows one each.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends binutils-x86-64-linux-gnu binutils-aarch64-linux-gnu >/dev/null
COPY requirements-image.lock requirements-runtime.lock ./
# Every package's hash is checked, those of the tools as well.
RUN --mount=type=secret,id=authorities . /authorities \
 && python3 -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
# Dependencies first: they change less often than the code.
ARG TARGETARCH
RUN --mount=type=secret,id=authorities . /authorities \
 && case "$TARGETARCH" in amd64) machine=x86_64;; arm64) machine=aarch64;; *) echo "no wheels for $TARGETARCH: amd64 or arm64"; exit 1;; esac \
 && echo "$machine" > /machine \
 && python3 -m venv --without-pip /opt/retrainer \
 && /tools/bin/uv pip sync --no-cache --python /opt/retrainer/bin/python --python-platform "$machine-unknown-linux-gnu" --only-binary :all: \
      --require-hashes requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY docs/how-to/operations/runbooks docs/how-to/operations/runbooks
COPY retrainer retrainer
# By way of its wheel, as an installed folder would note where it was; and without uv's note of when.
RUN /tools/bin/uv build --quiet --wheel --no-build-isolation --python /tools/bin/python -o /wheel . \
 && /tools/bin/uv pip install --no-cache --offline --no-index --find-links /wheel --python /opt/retrainer/bin/python --no-deps retrainer \
 && cd /opt/retrainer/lib/python3.*/site-packages/retrainer-*.dist-info && rm uv_cache.json && sed -i '/uv_cache.json/d' RECORD
# Two thirds of the weight are left out: the languages that pygments could highlight, interfaces of Google's services, Kubernetes' models and its asynchronous client, which `retrainer/util/light_imports.py` never imports, descriptions
# of AWS services that no source asks, and what only debuggers read.
RUN /tools/bin/uv pip uninstall --quiet --python /opt/retrainer/bin/python aiohttp aiohappyeyeballs aiosignal frozenlist multidict propcache yarl \
 && strip=$(cat /machine)-linux-gnu-strip && cd /opt/retrainer/lib/python3.*/site-packages \
 && rm -rf kubernetes/client/models kubernetes/client/api kubernetes/aio sqlalchemy/testing google/api google/cloud google/gapic google/logging google/longrunning google/shopping google/type \
 && find pygments/lexers -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py -delete \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sqs ! -name sns ! -name 'sts*' ! -name 'sso*' -exec rm -rf {} + \
 && find . -name '*.so*' -exec "$strip" --strip-unneeded {} + \
 && /opt/retrainer/bin/python -m compileall -q --invalidation-mode unchecked-hash .
# What is inside, as CycloneDX; and the only folder that is written to: the store and the lock beside it. Mount a volume there.
RUN mkdir -p /opt/retrainer/share/sbom /state \
 && /tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
      -o /opt/retrainer/share/sbom/retrainer.cdx.json /opt/retrainer/bin/python

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}
COPY --from=build /opt/retrainer /opt/retrainer
COPY --from=build --chown=65532:65532 /state /var/lib/retrainer
ENV PATH=/opt/retrainer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/retrainer
USER 65532:65532
EXPOSE 8080
# The exec form: the process gets SIGTERM itself, and has 25 s to settle what it took in.
ENTRYPOINT ["retrainer"]
CMD ["run", "-c", "/etc/retrainer/retrainer.yaml"]
# deploy/image/build says version, revision, time and base, as it knows them.
LABEL org.opencontainers.image.title="retrainer" \
      org.opencontainers.image.description="Decides when machine-learning models must be retrained, and starts each run exactly once." \
      org.opencontainers.image.licenses="Apache-2.0"
