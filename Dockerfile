# docker build -t ann2sdnn . && docker run --rm -v "$PWD:/work" ann2sdnn --help
FROM python:3.10-slim
RUN apt-get update && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/ann2sdnn
COPY . .
RUN make install
ENV PATH=/opt/ann2sdnn/.venv/bin:$PATH
# Files of the commands are those of the folder that is mounted here.
WORKDIR /work
ENTRYPOINT ["ann2sdnn"]
CMD ["--help"]
