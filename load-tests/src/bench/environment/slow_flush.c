/* Loaded into Postgres, which flushes its WAL by fdatasync(2): a flush takes longer by as many microseconds as the file
 * named by SLOW_FLUSH_FILE holds, as a number of 32 bits. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile uint32_t *delay_us(void) {
    static const volatile uint32_t *mapped;
    const char *path = mapped ? NULL : getenv("SLOW_FLUSH_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *memory = mmap(NULL, sizeof(uint32_t), PROT_READ, MAP_SHARED, file, 0);
        mapped = memory == MAP_FAILED ? NULL : memory;
        close(file);
    }
    return mapped;
}

int fdatasync(int file) {
    long flushed = syscall(SYS_fdatasync, file);
    int error = errno;
    const volatile uint32_t *delay = delay_us();
    if (delay && *delay)
        usleep(*delay);
    errno = error;
    return (int)flushed;
}
