/* Preloaded: below $TWEEZE_SHARE nothing can be given another mode, and no file a second name, as
   on shares and disks that were made for another system (CIFS, exFAT, NTFS). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int refused(const char *path)
{
    const char *share = getenv("TWEEZE_SHARE");
    if (path == NULL || share == NULL || strncmp(path, share, strlen(share)) != 0)
        return 0;
    errno = EOPNOTSUPP;
    return 1;
}

int chmod(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "chmod");
    return refused(path) ? -1 : real(path, mode);
}

int fchmodat(int folder, const char *path, mode_t mode, int flags)
{
    int (*real)(int, const char *, mode_t, int) = dlsym(RTLD_NEXT, "fchmodat");
    return refused(path) ? -1 : real(folder, path, mode, flags);
}

int link(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
    return refused(to) ? -1 : real(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return refused(to) ? -1 : real(a, from, b, to, flags);
}
