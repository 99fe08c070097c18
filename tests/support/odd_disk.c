/* What programs see of files below $ODD_DISK, as some disks show them:
   $ODD_SKEW  seconds by which file times are off, as on a file server with a clock of its own
   $ODD_MODE  (octal) every file's permissions, which nothing changes, as on exFAT, NTFS, CIFS */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int odd(const char *path) {
  const char *under = getenv("ODD_DISK");
  return path && under && strncmp(path, under, strlen(under)) == 0;
}

static int shown(int result, const char *path, struct stat *about) {
  const char *skew = getenv("ODD_SKEW"), *mode = getenv("ODD_MODE");
  if (result || !odd(path)) return result;
  if (skew) about->st_mtim.tv_sec += atol(skew);
  if (mode) about->st_mode = (about->st_mode & S_IFMT) | strtol(mode, NULL, 8);
  return 0;
}

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

int stat(const char *p, struct stat *s) { return shown(NEXT(stat)(p, s), p, s); }
int lstat(const char *p, struct stat *s) { return shown(NEXT(lstat)(p, s), p, s); }
int fstatat(int d, const char *p, struct stat *s, int f) {
  return shown(NEXT(fstatat)(d, p, s, f), p, s);
}
int stat64(const char *p, struct stat64 *s) { return stat(p, (struct stat *)s); }
int lstat64(const char *p, struct stat64 *s) { return lstat(p, (struct stat *)s); }
int fstatat64(int d, const char *p, struct stat64 *s, int f) {
  return fstatat(d, p, (struct stat *)s, f);
}

int chmod(const char *p, mode_t m) {
  if (odd(p) && getenv("ODD_MODE")) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return NEXT(chmod)(p, m);
}
int fchmodat(int d, const char *p, mode_t m, int f) {
  if (odd(p) && getenv("ODD_MODE")) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return NEXT(fchmodat)(d, p, m, f);
}
