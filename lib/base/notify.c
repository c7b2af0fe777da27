#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
send_message(const char *message)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = name == NULL ? 0 : strlen(name);

    if (len < 2 || len >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0'; /* how the protocol writes the abstract namespace */

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* An abstract name is as long as the address says, so the NUL behind it must not be counted. */
    sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void
notify_ready(void)
{
    send_message("READY=1\nSTATUS=");
}

void
notify_status(const char *text)
{
    char message[NOTIFY_BYTES_MAX];

    snprintf(message, sizeof message, "STATUS=%s", text);
    send_message(message);
}

void
notify_refused(const char *text)
{
    char message[NOTIFY_BYTES_MAX];

    snprintf(message, sizeof message, "ERRNO=%d\nSTATUS=%s", EACCES, text);
    send_message(message);
}
