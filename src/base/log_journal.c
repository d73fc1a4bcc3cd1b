/* log_journal.c - see log_journal.h. */
#include "base/log_journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool log_journal_is_stderr(void)
{
    unsigned long long device, inode;
    struct stat at;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &at) == 0 && at.st_dev == device && at.st_ino == inode;
}

int log_journal_open(const char *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(address) >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, address, strlen(address));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static struct iovec piece(const char *data, size_t n)
{
    return (struct iovec){(void *)(uintptr_t)data, n};
}

bool log_journal_send(int fd, const char *text, size_t n, const struct log_head *head,
                      const char *fields, va_list args)
{
    char entry[LOG_LINE_BYTES_MAX];
    struct log_head native = *head;
    native.format = LOG_NATIVE;
    size_t entry_n = log_line_write(entry, &native, fields, args);
    struct iovec pieces[] = {piece(entry, entry_n), piece("MESSAGE=", 8), piece(text, n),
                             piece("\n", 1)};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 4};
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)(entry_n + 8 + n + 1);
}
