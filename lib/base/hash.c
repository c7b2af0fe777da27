#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"

_Static_assert(HASH_ID_BYTES == crypto_generichash_BYTES_MIN, "BLAKE2b gives 16 bytes at least");
_Static_assert(HASH_KEY_BYTES == crypto_generichash_KEYBYTES, "BLAKE2b's usual key");
_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "SipHash gives 64 bits");

void
hash_init(void)
{
    if (sodium_init() < 0)
        log_fatal("libsodium can't start");
}

void
hash_random(void *bytes, size_t len)
{
    randombytes_buf(bytes, len);
}

/* libsodium puts an allocation at the very end of its pages: what is no multiple of this would not be aligned. */
#define SECRET_ALIGNMENT 64

void *
hash_secret_new(size_t size)
{
    hash_init(); /* which does nothing the second time */
    size = (size + SECRET_ALIGNMENT - 1) / SECRET_ALIGNMENT * SECRET_ALIGNMENT;
    void *secret = sodium_malloc(size); /* where the pages can't be locked, without that */
    if (secret == NULL)
        log_fatal("out of memory");
    return memset(secret, 0, size);
}

void
hash_secret_free(void *secret)
{
    sodium_free(secret);
}

void
hash_secret_keep(void *at, size_t len)
{
    /* A low ulimit -l is no reason to stop. */
    if (sodium_mlock(at, len) != 0)
        log_debug("%zu bytes of a secret can't be locked in memory: %s", len, strerror(errno));
}

void
hash_wipe(void *at, size_t len)
{
    sodium_memzero(at, len);
}

struct hash_id
hash_id(const struct hash_key *key, const struct span *parts, unsigned count)
{
    struct hash_id id;
    unsigned char length[8];

    crypto_generichash_state state;
    crypto_generichash_init(&state, key->bytes, sizeof key->bytes, sizeof id.bytes);
    for (unsigned i = 0; i < count; i++) {
        bytes_put_u64(length, parts[i].len);
        crypto_generichash_update(&state, length, sizeof length);
        crypto_generichash_update(&state, (const unsigned char *)parts[i].at, parts[i].len);
    }
    crypto_generichash_final(&state, id.bytes, sizeof id.bytes);
    return id;
}

_Static_assert(crypto_shorthash_KEYBYTES <= HASH_KEY_BYTES, "half a key is enough for SipHash");

uint64_t
hash_64(const struct hash_key *key, struct span bytes)
{
    unsigned char sum[crypto_shorthash_BYTES];

    crypto_shorthash(sum, (const unsigned char *)bytes.at, bytes.len, key->bytes);
    return bytes_get_u64(sum);
}

struct hash_sum *
hash_sum_begin(void)
{
    crypto_generichash_state *state = aligned_alloc(_Alignof(crypto_generichash_state), sizeof *state);

    if (state == NULL)
        log_fatal("out of memory");
    crypto_generichash_init(state, NULL, 0, HASH_ID_BYTES);
    return (struct hash_sum *)state;
}

void
hash_sum_add(struct hash_sum *sum, struct span bytes)
{
    crypto_generichash_update((crypto_generichash_state *)sum, (const unsigned char *)bytes.at, bytes.len);
}

void
hash_sum_end(struct hash_sum *sum, struct hash_id *id)
{
    if (id != NULL)
        crypto_generichash_final((crypto_generichash_state *)sum, id->bytes, sizeof id->bytes);
    free(sum);
}

void
hash_hex(const struct hash_id *id, char *hex)
{
    sodium_bin2hex(hex, HASH_ID_HEX_SIZE, id->bytes, sizeof id->bytes);
}

int
hash_unhex(const char *hex, struct hash_id *id)
{
    const size_t len = strnlen(hex, HASH_ID_HEX_SIZE - 1);
    size_t bytes;
    const int rc = sodium_hex2bin(id->bytes, sizeof id->bytes, hex, len, NULL, &bytes, NULL);

    return rc == 0 && bytes == sizeof id->bytes ? 0 : -1;
}

uint64_t
hash_checksum(struct span bytes)
{
    /* Part of the inbox format: another key makes every file written before look rotten. */
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "gait's checksum";
    unsigned char sum[crypto_shorthash_BYTES];

    crypto_shorthash(sum, (const unsigned char *)bytes.at, bytes.len, key);
    return bytes_get_u64(sum);
}

/* Append the fault of the key file at path; always −1, with the errno that names it. */
static int refuse_key(struct buffer *fault, const char *path, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int
refuse_key(struct buffer *fault, const char *path, int error, const char *format, ...)
{
    char text[PATH_MAX + 256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(fault, "key file %s %s", path, text);
    errno = error;
    return -1;
}

/* Whether the open file fd may be a key. 0, or −1 with the fault. */
static int
check_key(int fd, const char *path, struct buffer *fault)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return refuse_key(fault, path, errno, "can't be read: %s", strerror(errno));
    /* Root may have made it for us, and for others of our group nobody. */
    if (!file_is_ours(&info))
        return refuse_key(fault, path, EPERM, "belongs to user %u, who could read and change it; allowed are root and user "
                          "%u, as whom this runs: chown it, or name another file", (unsigned)info.st_uid,
                          (unsigned)geteuid());
    if (!S_ISREG(info.st_mode))
        return refuse_key(fault, path, EINVAL, "is a folder, a pipe or a device; allowed is a file of %d bytes: name "
                          "another, or one that is not there, which is made", HASH_KEY_BYTES);
    if (info.st_size != HASH_KEY_BYTES)
        return refuse_key(fault, path, EINVAL, "has %lld bytes; allowed is a file of %d: bring back the copy of it, or, if "
                          "no state was made with it, remove it, and one is made", (long long)info.st_size, HASH_KEY_BYTES);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return refuse_key(fault, path, EPERM, "has mode %04o; allowed is that only its owner may read it: chmod 0400 %s",
                          (unsigned)(info.st_mode & 07777), path);
    return 0;
}

/* Open the key at path, which may be one: a descriptor, or −1 with the fault; where there is none, without one and with
 * ENOENT. */
static int
open_key(const char *path, struct buffer *fault)
{
    /* A FIFO must not hang us before it is refused, and where a link leads is somebody else's choice. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT)
        return -1;
    if (fd < 0 && errno == ELOOP)
        return refuse_key(fault, path, ELOOP, "is a symbolic link; allowed is the file itself: name that");
    if (fd < 0)
        return refuse_key(fault, path, errno, "can't be opened: %s%s", strerror(errno),
                          errno == EACCES ? "; it has to be readable for whoever runs this, and its folder passable" : "");
    if (check_key(fd, path, fault) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Fill the new file fd with a random key. 0, or −1 with errno. */
static int
fill_key(int fd)
{
    struct hash_key key;

    hash_random(key.bytes, sizeof key.bytes);
    int result = -1;
    if (file_write_at(fd, key.bytes, sizeof key.bytes, 0) == 0 && fchmod(fd, 0400) == 0 && fsync(fd) == 0)
        result = 0;
    sodium_memzero(&key, sizeof key);
    return result;
}

/* Append why the key at path can't be made, from errno; always −1. */
static int
refuse_to_make(struct buffer *fault, const char *path)
{
    const int error = errno;

    return refuse_key(fault, path, error, "is not there and can't be made: %s%s", strerror(error),
                      error == ENOENT ? "; the folder that it is in has to be there: make it, or name another file" : "");
}

/* Make the file at path with a random key, unless it is there by now. link, unlike rename, never replaces a file: of
 * two processes one makes it and both read that one's key. 0, or −1 with the fault. */
static int
make_key(const char *path, struct buffer *fault)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int fd = -1;
    int result = -1;

    errno = ENAMETOOLONG;
    if (len > 0 && (size_t)len < sizeof temporary)
        fd = mkostemp(temporary, O_CLOEXEC);
    if (fd >= 0 && fill_key(fd) == 0 && (link(temporary, path) == 0 || errno == EEXIST))
        result = 0;
    if (result != 0)
        refuse_to_make(fault, path);
    if (fd >= 0) {
        int error = errno;
        unlink(temporary);
        close(fd);
        errno = error;
    }
    return result;
}

int
hash_key_file(const char *path, struct hash_key *key, struct buffer *fault)
{
    int fd = open_key(path, fault);

    if (fd < 0 && errno == ENOENT) {
        if (make_key(path, fault) != 0)
            return -1;
        fd = open_key(path, fault);
    }
    if (fd < 0)
        return errno == ENOENT ? refuse_to_make(fault, path) : -1;
    int result = 0;
    if (file_read_at(fd, key->bytes, sizeof key->bytes, 0) != HASH_KEY_BYTES)
        result = refuse_key(fault, path, EIO, "can't be read");
    close(fd);
    /* A key that is lost in a power cut would rename every person. Whoever made it may not have come to this yet; where the
     * folder may not be read, it was somebody else's care. */
    if (result == 0 && file_sync_name(path) != 0 && errno != EACCES)
        result = refuse_key(fault, path, errno, "can't be made durable: its folder: %s", strerror(errno));
    return result;
}

int
hash_key_look(const char *path, struct buffer *fault)
{
    char dir[PATH_MAX];
    int fd = open_key(path, fault);

    if (fd >= 0) {
        close(fd);
        return 1;
    }
    if (errno != ENOENT)
        return -1;
    const char *slash = strrchr(path, '/');
    const int len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    if (snprintf(dir, sizeof dir, "%.*s", len, slash == NULL ? "." : path) >= (int)sizeof dir)
        errno = ENAMETOOLONG;
    else if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    return refuse_to_make(fault, path);
}
