//go:build unix

package journal

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapFile makes a file of so many bytes and maps it.
func mapFile(f *os.File, size int) ([]byte, error) {
	if err := reserve(f, size); err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

func unmap(mem []byte) error { return syscall.Munmap(mem) }

func syncMapping(mem []byte) error { return unix.Msync(mem, unix.MS_SYNC) }

func pageSize() int { return os.Getpagesize() }

// fill writes zeros where space cannot be taken otherwise.
func fill(f *os.File, size int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, size-int(info.Size())), info.Size())
	return err
}
