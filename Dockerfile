# Gatebook in an image without a shell, for a user that is nobody, on a root file system that can be read only:
#   docker build -t gatebook . && docker run --read-only --cap-drop=ALL -v gatebook:/data -p 127.0.0.1:8080:8080 gatebook
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --release --locked -p gatebook && cp target/release/gatebook /gatebook && mkdir -p /folders && mkdir -m 700 /folders/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /gatebook /usr/local/bin/gatebook
# What is copied keeps its mode only below the folder that is named.
COPY --from=build --chown=nonroot:nonroot /folders /
USER nonroot
# Indexes of large read models are sorted in files, for which /tmp may be too small or not to be written to.
ENV GATEBOOK_DATA=/data GATEBOOK_LISTEN=0.0.0.0:8080 GATEBOOK_LOG_FORMAT=json SQLITE_TMPDIR=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 CMD ["/usr/local/bin/gatebook", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/gatebook"]
CMD ["serve"]
