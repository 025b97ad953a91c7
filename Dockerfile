# Any image with Python 3.11 or newer as python3 will do; both stages must use the same.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-runtime.lock ./
RUN python3 -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check "$(grep -o '^uv==[0-9.]*' requirements.lock)"
# Dependencies first: they change less often than the code. Every package's hash is checked.
RUN python3 -m venv --without-pip /opt/retrainer \
 && /tools/bin/uv pip sync --no-cache --python /opt/retrainer/bin/python --require-hashes --compile-bytecode requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY retrainer retrainer
RUN /tools/bin/uv pip install --no-cache --python /opt/retrainer/bin/python --no-deps --compile-bytecode .

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
