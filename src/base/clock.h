/* clock.h - the only file that reads the system's clocks.
 *
 * Stages take `now_us` as an argument; nodes and commands read it here. Microseconds everywhere.
 */
#ifndef ATTUNE_BASE_CLOCK_H
#define ATTUNE_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

/* Monotonic: for intervals, deadlines and latencies on one machine. */
uint64_t clock_mono_us(void);

/* Microseconds since 1970 UTC: for time stamps that leave the process. */
uint64_t clock_wall_us(void);

/* Processor time that all threads of a process have used since it started (0: of this process), and
 * that the calling thread has. UINT64_MAX when there is no such process (any more). */
uint64_t clock_process_cpu_us(pid_t pid);
uint64_t clock_thread_cpu_us(void);

/* Sleeps until the monotonic clock shows at least until_us. */
void clock_sleep_until_us(uint64_t until_us);

/* A condition whose waits end by the monotonic clock; and such a wait, with the mutex held: 0, or
 * ETIMEDOUT when the clock shows until_us. As any, it may come back for no reason. */
void clock_cond_init(pthread_cond_t *c);
int clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *held, uint64_t until_us);

#endif
