#include "share/throttle.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define PAGE_BYTES sizeof(struct share_page)

static uint64_t system_now_us(void *context)
{
    (void)context;
    return clock_mono_us();
}

static uint64_t system_used_us(void *context)
{
    (void)context;
    return clock_process_cpu_us(0);
}

static void system_sleep(void *context, uint64_t until_us)
{
    (void)context;
    clock_sleep_until_us(until_us);
}

static double share_of(const struct share_page *page)
{
    return atomic_load(&page->share_millionths) / 1e6;
}

void throttle_init(struct throttle *t, const struct share_page *page,
                   const struct throttle_clock *clock)
{
    static const struct throttle_clock of_system = {NULL, system_now_us, system_used_us,
                                                    system_sleep};
    *t = (struct throttle){.page = page, .clock = clock ? *clock : of_system};
    if (!page)
        return;
    pacer_init(&t->pacer, share_of(page), t->clock.now_us(t->clock.context));
    t->used_us = t->clock.used_us(t->clock.context);
}

enum status throttle_open(struct throttle *t, struct error *err)
{
    throttle_init(t, NULL, NULL);
    const char *text = getenv(THROTTLE_ENVIRONMENT);
    if (!text)
        return ST_OK;
    char *end;
    long fd = strtol(text, &end, 10);
    struct stat s;
    if (!text[0] || *end || fd < 0 || fd > INT32_MAX || fstat((int)fd, &s) != 0 ||
        s.st_size < (off_t)PAGE_BYTES)
        return error_set(err, ST_INVALID, THROTTLE_ENVIRONMENT "=%.20s is no page of a share",
                         text);
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, (int)fd, 0);
    if (page == MAP_FAILED)
        return error_set(err, ST_INVALID, "cannot map the page of the share: %s", strerror(errno));
    close((int)fd);
    unsetenv(THROTTLE_ENVIRONMENT);
    throttle_init(t, page, NULL);
    t->mapped = true;
    return ST_OK;
}

void throttle_clear(struct throttle *t)
{
    if (t->mapped)
        munmap((void *)(uintptr_t)t->page, PAGE_BYTES);
    *t = (struct throttle){.page = NULL};
}

static void charge(struct throttle *t, uint64_t now_us)
{
    uint64_t used_us = t->clock.used_us(t->clock.context);
    bool known = used_us != UINT64_MAX && used_us >= t->used_us;
    pacer_charge(&t->pacer, known ? used_us - t->used_us : 0, now_us);
    if (known)
        t->used_us = used_us;
}

void throttle_step(struct throttle *t)
{
    if (!t->page)
        return;
    uint64_t start_us = t->clock.now_us(t->clock.context), now_us = start_us;
    charge(t, now_us);
    while (atomic_load(&t->page->paced) && !(t->cancel && atomic_load(t->cancel))) {
        pacer_set(&t->pacer, share_of(t->page), now_us);
        uint64_t due_us = pacer_due_us(&t->pacer), look_us = now_us + THROTTLE_LOOK_US;
        if (due_us <= now_us)
            break;
        t->clock.sleep_until_us(t->clock.context, due_us < look_us ? due_us : look_us);
        now_us = t->clock.now_us(t->clock.context);
    }
    t->waited_us += now_us - start_us;
}

enum status share_page_open(struct share_page **ret, int *ret_fd, struct error *err)
{
    int fd = memfd_create("attune-share", MFD_CLOEXEC);
    void *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)PAGE_BYTES) == 0)
        page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return error_set(err, ST_IO, "cannot make the page of a share: %s", strerror(code));
    }
    *ret = page;
    *ret_fd = fd;
    share_page_set(*ret, 1);
    return ST_OK;
}

void share_page_close(struct share_page **page, int *fd)
{
    if (!*page)
        return;
    munmap(*page, PAGE_BYTES);
    close(*fd);
    *page = NULL;
    *fd = -1;
}

void share_page_set(struct share_page *page, double share)
{
    assert(share > 0);
    atomic_store(&page->share_millionths, (uint32_t)fmax(1, fmin(share * 1e6, UINT32_MAX)));
}
