package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes disk space for so many bytes, which read as zero where nothing was written.
func reserve(f *os.File, size int) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size))
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fill(f, size)
	}
	return err
}
