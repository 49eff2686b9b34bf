package exchange

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates of a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name+".pem") }

// sign writes NAME.pem and NAME-key.pem.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(1), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

// TestEncrypted: a server beyond loopback takes the machines that trust it and have its
// token, and no others.
func TestEncrypted(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	ours.sign("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: both})
	one := open(t, "one", Options{Listen: "0.0.0.0:0", Cert: ours.file("server"), Key: ours.file("server-key"), CA: ours.file("ca"), Token: "secret"})
	_, port, err := net.SplitHostPort(one.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := join(t, one, inputs(0, 3)...)
	url := "tls://127.0.0.1:" + port
	b := join(t, open(t, "two", Options{URLs: []string{url}, CA: ours.file("ca"), Token: "secret"}), inputs(3, 6)...)
	(&engine{a, map[int]int{}}).untilRan(t, 6, func(n int) bool { return n < 3 })
	(&engine{b, map[int]int{}}).untilRan(t, 6, func(n int) bool { return n >= 3 })
	tests := []struct {
		name string
		opts Options
		want string // part of the error
	}{
		{"no token", Options{CA: ours.file("ca")}, "Authorization"},
		{"wrong token", Options{CA: ours.file("ca"), Token: "guessed"}, "Authorization"},
		{"unknown authority", Options{CA: others.file("ca"), Token: "secret"}, "certificate signed by unknown authority"},
		{"authority of the system", Options{Token: "secret"}, "certificate signed by unknown authority"},
		{"no authority", Options{CA: ours.file("ca-key"), Token: "secret"}, "there are none in PEM"},
		{"missing authority", Options{CA: ours.file("none"), Token: "secret"}, "no such file"},
		{"wrong key", Options{Cert: ours.file("server"), Key: ours.file("ca-key")}, "reading the certificate of this machine"},
		{"missing credentials", Options{CA: ours.file("ca"), Creds: ours.file("none")}, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.opts.URLs, test.opts.Dir, test.opts.Name = []string{url}, t.TempDir(), "x"
			n, err := Open(t.Context(), test.opts)
			if err == nil {
				n.Close()
				t.Fatal("the server took it")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %q, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "guessed") {
				t.Errorf("the error tells a token: %q", err)
			}
		})
	}
}
