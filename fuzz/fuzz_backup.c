/* A backup of any bytes, checked as `attune restore --check` does: what is taken for whole has a
 * manifest of ours and was read to its end, all else gets a sentence. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/backup.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct backup_report r;
    struct error err = {0};
    char path[64];
    int fd = memfd_create("backup", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n) {
        close(fd);
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (backup_check(path, &r, &err) == ST_OK)
        assert(r.files >= 1 && r.schema <= store_schema() && strlen(r.student) < sizeof r.student);
    else
        assert(err.message[0]);
    close(fd);
    return 0;
}
