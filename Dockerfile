# What `make wheel` built, on the pinned libraries. docs/how-to/deploy.md says how to run it.
FROM python:3.11-slim

# The wheel's name changes with the version; .dockerignore lets only these files in.
COPY requirements/server.txt dist/*.whl /tmp/hoc/

RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/hoc/server.txt \
    && python -m pip install --no-cache-dir --no-deps /tmp/hoc/*.whl \
    && python -m pip check \
    && hoc --version

RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/hoc hoc
USER 10001
ENV HOC_DATA_DIR=/var/lib/hoc/data
EXPOSE 8201
STOPSIGNAL SIGTERM

ENTRYPOINT ["hoc"]
CMD ["serve", "--host", "0.0.0.0"]
