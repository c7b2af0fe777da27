# All programs of gait in one image, and the broker beside them. compose.yaml runs it, one process a container.

FROM debian:bookworm-slim AS build
# What ./run installs to build.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config \
        libpaho-mqtt-dev libssl-dev libcjson-dev liblmdb-dev libsodium-dev libcsv-dev zlib1g-dev libzstd-dev \
        libcmocka-dev
COPY CMakeLists.txt /gait/
COPY cmd /gait/cmd
COPY lib /gait/lib
COPY man /gait/man
COPY streams /gait/streams
COPY tests /gait/tests
RUN cmake -S /gait -B /build -G Ninja && cmake --build /build && DESTDIR=/image cmake --install /build --strip

FROM debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libssl3 libcjson1 liblmdb0 libsodium23 libcsv3 zlib1g libzstd1 \
        mosquitto mosquitto-clients && \
    rm -rf /var/lib/apt/lists/*
# A user of its own, by number so that files on the host can be given to it. New volumes take over the folders' owner.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/gait --shell /usr/sbin/nologin gait && \
    install -d -o gait -g gait -m 0700 /var/lib/gait /var/lib/gait-broker
COPY --from=build /image/ /
USER gait
VOLUME /var/lib/gait
# gait up as it is serves only its own container: its broker listens on 127.0.0.1.
CMD ["gait", "up"]
