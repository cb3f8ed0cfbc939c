/* Steps the wall clock of one process, and no other clock of it, while it runs.
 *
 * Preloaded (ld.so(8)), with WALLSKEW_FILE naming a file of eight bytes: the nanoseconds, signed
 * and in the machine's order, that CLOCK_REALTIME is off. The file is mapped, so a write to it
 * counts from the next call on. A process that cannot map it does not start.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *skew;

__attribute__((constructor)) static void map_skew(void) {
    const char *path = getenv("WALLSKEW_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = mmap(NULL, sizeof *skew, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) _exit(97);
    close(file);
    skew = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && skew && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t at = now->tv_sec * SECOND + now->tv_nsec + *skew;
        now->tv_sec = at / SECOND;
        now->tv_nsec = at % SECOND;
    }
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (at) *at = exact.tv_sec;
    return exact.tv_sec;
}
