// A workload on Go's own TLS: serves and calls, each call on a new connection with a full handshake.
// peer SETTINGS, as JSON; it prints what ../told.ts describes. Nothing but the standard library.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const timeout = 10 * time.Second

type callee struct {
	Peer     string `json:"peer"`
	Port     int    `json:"port"`
	SpiffeID string `json:"spiffeId"`
	DNSName  string `json:"dnsName"`
}

type settings struct {
	Peer     string   `json:"peer"`
	TLS      string   `json:"tls"`
	JWT      string   `json:"jwt"`
	Port     int      `json:"port"`
	Callees  []callee `json:"callees"`
	Allowed  string   `json:"allowed"`
	Issuer   string   `json:"issuer"`
	Audience string   `json:"audience"`
	JWKS     struct {
		Port       int    `json:"port"`
		ServerName string `json:"serverName"`
	} `json:"jwks"`
	Rate float64 `json:"rate"`
}

var printing sync.Mutex

func tell(fields map[string]any) {
	line, _ := json.Marshal(fields)
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// credentials are one revision of the mounted volume.
type credentials struct {
	revision string
	pair     tls.Certificate
	issuer   string
	roots    *x509.CertPool
}

// volume resolves ..data once for each look, and reads the files anew only when it has changed.
type volume struct {
	directory string
	mutex     sync.Mutex
	revision  string
	files     map[string][]byte
}

func (v *volume) read(names ...string) (string, map[string][]byte, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for attempt := 1; ; attempt++ {
		revision, err := os.Readlink(filepath.Join(v.directory, "..data"))
		if err == nil && revision == v.revision {
			return revision, v.files, nil
		}
		files := map[string][]byte{}
		for _, name := range names {
			if err == nil {
				files[name], err = os.ReadFile(filepath.Join(v.directory, revision, name))
			}
		}
		if err == nil {
			v.revision, v.files = revision, files
			return revision, files, nil
		}
		if !errors.Is(err, os.ErrNotExist) || attempt == 5 {
			return "", nil, err
		}
	}
}

type peer struct {
	settings
	tlsVolume, jwtVolume volume
	mutex                sync.Mutex
	credentials          *credentials
	served               keySet
}

func (p *peer) current() (*credentials, error) {
	revision, files, err := p.tlsVolume.read("tls.crt", "tls.key", "ca.crt")
	if err != nil {
		return nil, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.credentials != nil && p.credentials.revision == revision {
		return p.credentials, nil
	}
	pair, err := tls.X509KeyPair(files["tls.crt"], files["tls.key"])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for rest := files["ca.crt"]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		roots.AddCert(root)
	}
	p.credentials = &credentials{revision, pair, pair.Leaf.Issuer.String(), roots}
	return p.credentials, nil
}

func spiffeID(certificate *x509.Certificate) string {
	if len(certificate.URIs) != 1 {
		return ""
	}
	return certificate.URIs[0].String()
}

func (p *peer) serve() error {
	config := &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now, err := p.current()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				Certificates:           []tls.Certificate{now.pair},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              now.roots,
				MinVersion:             tls.VersionTLS13,
				SessionTicketsDisabled: true,
			}, nil
		},
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:      http.HandlerFunc(p.answer),
		ReadTimeout:  timeout,
		WriteTimeout: timeout,
		ErrorLog:     log.New(refusals{p.Peer}, "", 0),
	}
	go server.Serve(tls.NewListener(listener, config))
	return nil
}

// refusals tells what the server says of a handshake that failed.
type refusals struct{ peer string }

func (r refusals) Write(line []byte) (int, error) {
	r.tell(strings.TrimSpace(string(line)))
	return len(line), nil
}

func (r refusals) tell(message string) {
	tell(map[string]any{"tell": "refusal", "at": time.Now().UnixMilli(), "peer": r.peer, "error": message})
}

func (p *peer) answer(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("connection", "close")
	caller := request.TLS.PeerCertificates[0]
	id := spiffeID(caller)
	refuse := func(status int, message string) {
		refusals{p.Peer}.tell(message)
		response.WriteHeader(status)
		io.WriteString(response, message)
	}
	if !strings.HasPrefix(id, p.Allowed) {
		refuse(http.StatusForbidden, "met "+id)
		return
	}
	if err := p.verify(strings.TrimPrefix(request.Header.Get("authorization"), "Bearer "), id); err != nil {
		refuse(http.StatusUnauthorized, id+": "+err.Error())
		return
	}
	now, err := p.current()
	if err == nil && caller.Issuer.String() != now.issuer {
		response.Header().Set("x-across", "true")
	}
	io.WriteString(response, "hello")
}

var errRefusedToken = errors.New("refused token")

// call says whether the two certificates were signed by different keys.
func (p *peer) call(to callee) (isAcross bool, err error) {
	now, err := p.current()
	if err != nil {
		return false, err
	}
	_, files, err := p.jwtVolume.read("mesh.jwt", "jwks.json")
	if err != nil {
		return false, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{now.pair},
		RootCAs:      now.roots,
		ServerName:   to.DNSName,
		MinVersion:   tls.VersionTLS13,
		VerifyConnection: func(state tls.ConnectionState) error {
			server := state.PeerCertificates[0]
			isAcross = server.Issuer.String() != now.issuer
			if id := spiffeID(server); id != to.SpiffeID {
				return fmt.Errorf("expected %s, met %s", to.SpiffeID, id)
			}
			return nil
		},
	}
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequest("GET", "https://127.0.0.1:"+strconv.Itoa(to.Port)+"/", nil)
	if err != nil {
		return false, err
	}
	request.Host = to.DNSName
	request.Header.Set("authorization", "Bearer "+string(files["mesh.jwt"]))
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return isAcross, nil
	case http.StatusUnauthorized:
		return false, fmt.Errorf("%w: %s", errRefusedToken, body)
	default:
		return false, fmt.Errorf("%d %s", response.StatusCode, body)
	}
}

func (p *peer) keepCalling(to callee, stop <-chan struct{}) {
	pair := p.Peer + "→" + to.Peer
	var second int64
	var ok, across int
	flush := func() {
		if ok > 0 {
			tell(map[string]any{"tell": "counts", "second": second, "pair": pair, "ok": ok, "across": across})
		}
		ok, across = 0, 0
	}
	defer flush()
	for {
		started := time.Now()
		isAcross, err := p.call(to)
		if err != nil {
			what := "handshake"
			if errors.Is(err, errRefusedToken) {
				what = "token"
			}
			tell(map[string]any{"tell": "failure", "at": time.Now().UnixMilli(), "pair": pair, "what": what, "error": err.Error()})
		} else {
			if now := time.Now().Unix(); now != second {
				flush()
				second = now
			}
			ok++
			if isAcross {
				across++
			}
		}
		// Uneven, so that the pairs do not fall into step.
		spacing := time.Duration(float64(time.Second) / p.Rate * (0.5 + rand.Float64()))
		select {
		case <-stop:
			return
		case <-time.After(max(time.Millisecond, spacing-time.Since(started))):
		}
	}
}

func main() {
	p := &peer{}
	if err := json.Unmarshal([]byte(os.Args[1]), &p.settings); err != nil {
		log.Fatal(err)
	}
	p.tlsVolume.directory, p.jwtVolume.directory = p.TLS, p.JWT
	maxAge, err := p.fetch()
	if err != nil {
		log.Fatal(err)
	}
	go p.keepFresh(maxAge)
	if err := p.serve(); err != nil {
		log.Fatal(err)
	}
	tell(map[string]any{"tell": "listening"})
	input := bufio.NewReader(os.Stdin)
	if _, err := input.ReadString('\n'); err != nil {
		return
	}
	stop := make(chan struct{})
	var calls sync.WaitGroup
	for _, to := range p.Callees {
		calls.Add(1)
		go func() {
			defer calls.Done()
			p.keepCalling(to, stop)
		}()
	}
	io.Copy(io.Discard, input)
	close(stop)
	calls.Wait()
	// Others may still call.
	time.Sleep(2 * time.Second)
}
