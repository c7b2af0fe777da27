#include "load/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/log.h"
#include "base/say.h"

#define CHUNK_BYTES (128 * 1024) /* read and unpacked at a time */
#define SILENCE_MS 100           /* how long a silent pipe is waited for before the caller gets its turn */
#define MAGIC_BYTES 4            /* tell the packing; a pipe may bring them one by one */

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct unpack {
    const char *name;
    int fd;
    bool regular;  /* never silent, and its size is known */
    bool named;    /* by a path */
    bool silent;   /* INPUT_NOTHING_YET was the last answer */
    bool file_ended;
    uint64_t bytes_read;
    uint64_t bytes_total;

    enum packing packing;
    char *chunk; /* as it came from the file */
    size_t chunk_at;
    size_t chunk_len;
    bool inside; /* a packed stream: the file must not end here */
    z_stream gzip;
    ZSTD_DStream *zstd;
};

static enum input_result
fault(const struct unpack *unpack, const char *what)
{
    say("%s: %s", unpack->name, what);
    return INPUT_FAULT;
}

/* Where in the file the chunk is looked at. */
static uint64_t
position(const struct unpack *unpack)
{
    return unpack->bytes_read - (unpack->chunk_len - unpack->chunk_at);
}

/* What is packed is damaged, or ends too early, or something else stands behind it. */
static enum input_result
packing_fault(const struct unpack *unpack, const char *what)
{
    say("%s: the %s data can't be unpacked from byte %" PRIu64 " on: %s", unpack->name, unpack_packing(unpack),
        position(unpack), what);
    return INPUT_FAULT;
}

/* Read more of the file behind what is left in the chunk. INPUT_RECORD: there is more in the chunk. */
static enum input_result
read_chunk(struct unpack *unpack)
{
    struct pollfd ready = {.fd = unpack->fd, .events = POLLIN};

    if (!unpack->regular && poll(&ready, 1, unpack->silent ? SILENCE_MS : 0) <= 0) {
        unpack->silent = true;
        return INPUT_NOTHING_YET;
    }
    unpack->silent = false;
    memmove(unpack->chunk, unpack->chunk + unpack->chunk_at, unpack->chunk_len - unpack->chunk_at);
    unpack->chunk_len -= unpack->chunk_at;
    unpack->chunk_at = 0;
    ssize_t got = read(unpack->fd, unpack->chunk + unpack->chunk_len, CHUNK_BYTES - unpack->chunk_len);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? INPUT_NOTHING_YET : fault(unpack, strerror(errno));
    if (got == 0) {
        unpack->file_ended = true;
        return INPUT_END;
    }
    unpack->chunk_len += (size_t)got;
    unpack->bytes_read += (uint64_t)got;
    return INPUT_RECORD;
}

static bool
begins_with(const char *bytes, size_t len, const char *magic, size_t magic_len)
{
    return len >= magic_len && memcmp(bytes, magic, magic_len) == 0;
}

/* Whether a zstd frame begins at bytes, or one that is to be skipped. */
static bool
is_zstd(const char *bytes, size_t len)
{
    return begins_with(bytes, len, "\x28\xb5\x2f\xfd", 4) ||
           (len >= 4 && ((unsigned char)bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0);
}

static void
find_packing(struct unpack *unpack)
{
    unpack->packing = PACKING_NONE;
    if (begins_with(unpack->chunk, unpack->chunk_len, "\x1f\x8b", 2)) {
        unpack->packing = PACKING_GZIP;
        if (inflateInit2(&unpack->gzip, MAX_WBITS + 16) != Z_OK) /* 16: gzip only */
            log_fatal("out of memory");
    } else if (is_zstd(unpack->chunk, unpack->chunk_len)) {
        unpack->packing = PACKING_ZSTD;
        unpack->zstd = ZSTD_createDStream();
        if (unpack->zstd == NULL)
            log_fatal("out of memory");
    }
    unpack->inside = unpack->packing != PACKING_NONE;
}

/* Between two members. Zeros are stepped over; what follows them is another member, or the unpacker says that it is none. */
static void
skip_padding(struct unpack *unpack)
{
    while (unpack->chunk_at < unpack->chunk_len && unpack->chunk[unpack->chunk_at] == '\0')
        unpack->chunk_at++;
    unpack->inside = unpack->chunk_at < unpack->chunk_len;
}

static enum input_result
unpack_gzip(struct unpack *unpack, struct buffer *text)
{
    z_stream *gzip = &unpack->gzip;

    if (!unpack->inside) {
        skip_padding(unpack);
        if (!unpack->inside)
            return INPUT_RECORD;
    }
    gzip->next_in = (unsigned char *)unpack->chunk + unpack->chunk_at;
    gzip->avail_in = (unsigned)(unpack->chunk_len - unpack->chunk_at);
    gzip->next_out = (unsigned char *)buffer_reserve(text, CHUNK_BYTES);
    gzip->avail_out = CHUNK_BYTES;
    int rc = inflate(gzip, Z_NO_FLUSH);
    if (rc == Z_MEM_ERROR)
        log_fatal("out of memory");
    if (rc == Z_DATA_ERROR && gzip->total_out == 0 && unpack->bytes_read > unpack->chunk_len - unpack->chunk_at)
        return packing_fault(unpack, "what stands there is no gzip");
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
        return packing_fault(unpack, gzip->msg != NULL ? gzip->msg : "it is no gzip");
    unpack->chunk_at = unpack->chunk_len - gzip->avail_in;
    text->len += CHUNK_BYTES - gzip->avail_out;
    unpack->inside = rc != Z_STREAM_END;
    if (rc == Z_STREAM_END)
        inflateReset(gzip); /* members may follow each other */
    return INPUT_RECORD;
}

static enum input_result
unpack_zstd(struct unpack *unpack, struct buffer *text)
{
    ZSTD_inBuffer in = {unpack->chunk, unpack->chunk_len, unpack->chunk_at};
    ZSTD_outBuffer out = {buffer_reserve(text, CHUNK_BYTES), CHUNK_BYTES, 0};
    size_t rc = ZSTD_decompressStream(unpack->zstd, &out, &in);

    if (ZSTD_isError(rc))
        return packing_fault(unpack, ZSTD_getErrorName(rc));
    unpack->chunk_at = in.pos;
    text->len += out.pos;
    unpack->inside = rc != 0;
    return INPUT_RECORD;
}

static enum input_result
unpack_chunk(struct unpack *unpack, struct buffer *text)
{
    switch (unpack->packing) {
    case PACKING_GZIP:
        return unpack_gzip(unpack, text);
    case PACKING_ZSTD:
        return unpack_zstd(unpack, text);
    default:
        buffer_add(text, unpack->chunk + unpack->chunk_at, unpack->chunk_len - unpack->chunk_at);
        unpack->chunk_at = unpack->chunk_len;
        return INPUT_RECORD;
    }
}

enum input_result
unpack_read(struct unpack *unpack, struct buffer *text)
{
    if (unpack->chunk == NULL && (unpack->chunk = calloc(1, CHUNK_BYTES)) == NULL) /* now: many open files are cheap */
        log_fatal("out of memory");
    bool need_more = unpack->chunk_at == unpack->chunk_len ||
                     (unpack->packing == PACKING_UNKNOWN && unpack->chunk_len < MAGIC_BYTES);
    if (need_more && !unpack->file_ended) {
        enum input_result result = read_chunk(unpack);
        if (result != INPUT_END)
            return result;
    }
    if (unpack->packing == PACKING_UNKNOWN)
        find_packing(unpack);
    if (unpack->chunk_at < unpack->chunk_len)
        return unpack_chunk(unpack, text);
    if (!unpack->inside)
        return INPUT_END;
    /* The unpackers may hold bytes back that did not fit in what they were given. */
    size_t before = text->len;
    if (unpack_chunk(unpack, text) == INPUT_FAULT)
        return INPUT_FAULT;
    return text->len > before || !unpack->inside ? INPUT_RECORD : packing_fault(unpack, "the file ends there");
}

const char *
unpack_path_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static int
open_file(struct unpack *unpack, const char *path)
{
    struct stat stat;

    unpack->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (unpack->fd < 0 || fstat(unpack->fd, &stat) != 0) {
        fault(unpack, strerror(errno));
        return -1;
    }
    if (S_ISDIR(stat.st_mode)) {
        fault(unpack, strerror(EISDIR));
        return -1;
    }
    unpack->regular = S_ISREG(stat.st_mode);
    unpack->named = unpack->fd != STDIN_FILENO;
    unpack->bytes_total = unpack->regular ? (uint64_t)stat.st_size : 0;
    return 0;
}

struct unpack *
unpack_open(const char *path)
{
    struct unpack *unpack = calloc(1, sizeof *unpack);

    if (unpack == NULL)
        log_fatal("out of memory");
    unpack->name = unpack_path_name(path);
    if (open_file(unpack, path) != 0) {
        unpack_free(unpack);
        return NULL;
    }
    return unpack;
}

const char *
unpack_packing(const struct unpack *unpack)
{
    return unpack->packing == PACKING_GZIP ? "gzip" : unpack->packing == PACKING_ZSTD ? "zstd" : NULL;
}

const char *
unpack_name(const struct unpack *unpack)
{
    return unpack->name;
}

bool
unpack_is_file(const struct unpack *unpack)
{
    return unpack->regular && unpack->named;
}

uint64_t
unpack_bytes_read(const struct unpack *unpack)
{
    return unpack->bytes_read;
}

uint64_t
unpack_bytes_total(const struct unpack *unpack)
{
    return unpack->bytes_total;
}

void
unpack_free(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    if (unpack->fd > STDIN_FILENO)
        close(unpack->fd);
    if (unpack->packing == PACKING_GZIP)
        inflateEnd(&unpack->gzip);
    ZSTD_freeDStream(unpack->zstd);
    free(unpack->chunk);
    free(unpack);
}
