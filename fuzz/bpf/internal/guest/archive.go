package guest

import (
	"fmt"
	"io"
	"math"
)

// archive writes the cpio format "newc", which is how the kernel takes its first
// file system. Directories come before what is in them. The first error stays.
type archive struct {
	w       io.Writer
	written int
	inode   int
	err     error
}

// Types and rights of entries, as in st_mode.
const (
	modeDirectory  = 0o040755
	modeExecutable = 0o100755
	modeConsole    = 0o020600
)

// device is the number of a device file.
type device struct{ major, minor int }

// consoleDevice is /dev/console, which the kernel opens for the first process.
var consoleDevice = device{major: 5, minor: 1}

func (a *archive) directory(name string) { a.entry(name, modeDirectory, device{}, nil) }

func (a *archive) file(name string, content []byte) { a.entry(name, modeExecutable, device{}, content) }

func (a *archive) console(name string) { a.entry(name, modeConsole, consoleDevice, nil) }

// end writes the trailer, without which the kernel takes the archive for cut off.
func (a *archive) end() error {
	a.entry("TRAILER!!!", 0, device{}, nil)
	return a.err
}

// entry writes a header of 110 bytes in hexadecimal digits, the name and the content,
// each padded to a multiple of 4. Numbers have 32 bits.
func (a *archive) entry(name string, mode int, dev device, content []byte) {
	if len(content) > math.MaxUint32 {
		a.err = fmt.Errorf("%s is larger than the 4 GiB that an archive takes", name)
		return
	}
	a.inode++
	fields := []int{
		a.inode, mode, 0, 0, 1, 0, // user, group, links, time of change
		len(content), 0, 0, dev.major, dev.minor, len(name) + 1, 0,
	}
	header := []byte("070701")
	for _, f := range fields {
		header = fmt.Appendf(header, "%08X", f)
	}
	a.padded(append(append(header, name...), 0))
	a.padded(content)
}

func (a *archive) padded(p []byte) {
	a.write(p)
	a.write(make([]byte, -a.written&3))
}

func (a *archive) write(p []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(p)
	a.written += n
	a.err = err
}
