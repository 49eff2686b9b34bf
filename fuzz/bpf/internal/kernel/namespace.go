package kernel

import (
	"errors"
	"fmt"
	"os"
)

// Elsewhere runs do in another network namespace, which lives until the returned
// file is closed. The calling thread stays where it is.
func Elsewhere(do func() error) (namespace *os.File, err error) {
	err = Isolated(0, func() (err error) {
		if namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("opening a private network namespace: %w", err)
		}
		return do()
	})
	if err != nil && namespace != nil {
		return nil, errors.Join(err, namespace.Close())
	}
	return namespace, err
}
