# The image of meshid: Node, the built program, and a base without shell or package manager.
#
#   docker build -t meshid:0.1.0 --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#   docker buildx build --platform linux/amd64,linux/arm64 …       for both architectures
#
# Both bases can be replaced, by a mirror's or by imported ones (docker import rootfs.tar build-base):
#   BUILD_IMAGE    anything with npm 10 or newer and a POSIX shell
#   RUNTIME_IMAGE  anything with glibc and libstdc++; CA certificates are not needed
# The digests are those of the multi-architecture indexes.
ARG BUILD_IMAGE=node:24-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:66aa873a4a14fb164aa01296058efd8253744606d72715e45acface073359faa

FROM ${BUILD_IMAGE} AS build
# Where npm fetches from; empty for its default.
ARG NPM_CONFIG_REGISTRY
# Set to true where a base brings npm's cache and there is no network.
ARG NPM_CONFIG_OFFLINE=false
WORKDIR /build
COPY package.json package-lock.json ./
COPY hack hack
RUN sh hack/setup
COPY . .
RUN npm run build
# Seconds since 1970: the time of every file in the image.
ARG SOURCE_DATE_EPOCH=0
RUN sh hack/image /out

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/ /
WORKDIR /app
# Numeric, so that runAsNonRoot can be checked.
USER 65532:65532
ENV NODE_ENV=production
EXPOSE 8443 8081
ENTRYPOINT ["/app/bin/node", "--disable-warning=ExperimentalWarning", "/app/dist/main.js"]
CMD ["--help"]
