# docker build -t bellwether .
# docker run -p 9095:9095 -v bellwether:/data bellwether \
#     serve --prometheus http://prometheus:9090 --alertmanager http://alertmanager:9093

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && mkdir /data

FROM debian:bookworm-slim
RUN useradd --system --uid 65532 bellwether
COPY --from=build /src/target/release/bellwether /usr/local/bin/bellwether
COPY --from=build --chown=bellwether /data /data
USER bellwether
ENV BELLWETHER_SERVER__LISTEN=0.0.0.0:9095 \
    BELLWETHER_DATA_DIR=/data
VOLUME /data
EXPOSE 9095
# No HEALTHCHECK: probe grpc.health.v1 or the HTTP health path on the port, as orchestrators do.
ENTRYPOINT ["/usr/local/bin/bellwether"]
CMD ["serve"]
