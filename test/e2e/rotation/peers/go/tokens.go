package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keySet is a JWKS of P-256 keys, by their kid.
type keySet map[string]*ecdsa.PublicKey

func parseKeySet(text []byte) (keySet, error) {
	var document struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	keys := keySet{}
	for _, key := range document.Keys {
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err != nil {
			return nil, err
		}
		y, err := base64.RawURLEncoding.DecodeString(key.Y)
		if err != nil {
			return nil, err
		}
		keys[key.Kid] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	}
	return keys, nil
}

// verify checks a token against the mounted JWKS and against the copy of the served one.
func (p *peer) verify(token, subject string) error {
	_, files, err := p.jwtVolume.read("mesh.jwt", "jwks.json")
	if err != nil {
		return err
	}
	mounted, err := parseKeySet(files["jwks.json"])
	if err != nil {
		return err
	}
	if err := p.verifyWith(mounted, token, subject); err != nil {
		return fmt.Errorf("mounted JWKS %v: %w", mounted.kids(), err)
	}
	p.mutex.Lock()
	served := p.served
	p.mutex.Unlock()
	if err := p.verifyWith(served, token, subject); err != nil {
		return fmt.Errorf("served JWKS %v: %w", served.kids(), err)
	}
	return nil
}

func (k keySet) kids() []string {
	var kids []string
	for kid := range k {
		kids = append(kids, kid[:min(8, len(kid))])
	}
	return kids
}

func (p *peer) verifyWith(keys keySet, token, subject string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("no token")
	}
	var header struct{ Alg, Kid string }
	var claims struct {
		Iss, Sub string
		Aud      []string
		Nbf, Exp int64
	}
	if err := decode(parts[0], &header); err != nil {
		return err
	}
	if err := decode(parts[1], &claims); err != nil {
		return err
	}
	key := keys[header.Kid]
	if key == nil || header.Alg != "ES256" {
		return fmt.Errorf("no key %s for %s", header.Kid, header.Alg)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return errors.New("no signature")
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return fmt.Errorf("bad signature of key %s", header.Kid)
	}
	now := time.Now().Unix()
	switch {
	case now >= claims.Exp:
		return fmt.Errorf("expired at %d, it is %d", claims.Exp, now)
	case now < claims.Nbf:
		return fmt.Errorf("not before %d, it is %d", claims.Nbf, now)
	case claims.Iss != p.Issuer, claims.Sub != subject, !slices.Contains(claims.Aud, p.Audience):
		return fmt.Errorf("iss %s, sub %s, aud %v", claims.Iss, claims.Sub, claims.Aud)
	}
	return nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

var maxAgePattern = regexp.MustCompile(`max-age=(\d+)`)

// fetch takes a copy of the JWKS that meshid serves, and says how long it may be kept.
func (p *peer) fetch() (time.Duration, error) {
	now, err := p.current()
	if err != nil {
		return 0, err
	}
	config := &tls.Config{RootCAs: now.roots, ServerName: p.JWKS.ServerName}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequest("GET", "https://127.0.0.1:"+strconv.Itoa(p.JWKS.Port)+"/.well-known/jwks.json", nil)
	if err != nil {
		return 0, err
	}
	request.Host = p.JWKS.ServerName
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	found := maxAgePattern.FindStringSubmatch(response.Header.Get("cache-control"))
	if response.StatusCode != http.StatusOK || found == nil {
		return 0, fmt.Errorf("JWKS: %d", response.StatusCode)
	}
	keys, err := parseKeySet(body)
	if err != nil {
		return 0, err
	}
	p.mutex.Lock()
	p.served = keys
	p.mutex.Unlock()
	seconds, err := strconv.Atoi(found[1])
	return time.Duration(seconds) * time.Second, err
}

// keepFresh fetches again when the copy is as old as it may be; after a failure it stays in use.
func (p *peer) keepFresh(wait time.Duration) {
	for {
		time.Sleep(wait)
		maxAge, err := p.fetch()
		told := map[string]any{"tell": "jwks", "at": time.Now().UnixMilli(), "peer": p.Peer, "ok": err == nil}
		wait = maxAge
		if err != nil {
			told["error"] = err.Error()
			wait = time.Second
		}
		tell(told)
	}
}
