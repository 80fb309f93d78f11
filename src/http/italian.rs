//! Problems in Italian: what the citizen's counter reads. English is written where a problem is made; what it says in
//! Italian stands here and nowhere else, and `tests/openapi/italian.rs` names what is missing.

/// The title of each code, in the order of codes.
pub const TITLES: &[(&str, &str)] = &[
    ("approval_already_signed", "L'approvazione è già firmata"),
    ("approval_expired", "Il tempo dell'approvazione è scaduto"),
    ("approval_not_found", "L'approvazione non esiste, o non esiste più"),
    ("approval_not_signed", "Nessuno ha ancora firmato l'approvazione"),
    (
        "approval_other_policy",
        "Da quando l'approvazione è stata chiesta sono cambiate le regole: va chiesta di nuovo",
    ),
    (
        "approval_other_request",
        "L'approvazione è per un'altra richiesta, un altro operatore o un altro front end",
    ),
    ("approval_own_request", "Nessuno approva ciò che ha chiesto, con qualunque carta"),
    ("approval_signature", "La firma non è di questa carta su questo testo"),
    ("approvals_too_many", "L'operatore ha già chiesto tutte le approvazioni che può tenere aperte insieme"),
    (
        "bad_client_cert",
        "Client-Cert è un solo certificato, Client-Cert-Chain un elenco di certificati (RFC 9440)",
    ),
    ("bad_cursor", "Il cursore non è di questa ricerca"),
    ("bad_idempotency_key", "Idempotency-Key è un solo valore, da 1 a 64 caratteri ASCII visibili"),
    ("bad_query", "La query è after=N, il numero di un evento"),
    ("bad_signature", "Un valore non è accettabile"),
    ("birth_date_differs", "Un valore non è accettabile"),
    ("body_broken", "La richiesta si è interrotta"),
    ("body_timeout", "La richiesta è troppo lenta"),
    ("body_too_long", "La richiesta è troppo lunga"),
    ("card_already_active", "La tessera è già attiva"),
    ("card_expired", "La tessera è scaduta"),
    ("card_held", "La tessera è sospesa dopo un ripristino: può solo essere sostituita"),
    ("card_not_active", "La tessera non è attiva"),
    ("card_not_found", "Nessuna tessera con questi dati"),
    ("card_not_revoked", "La tessera non è revocata"),
    ("card_revoked", "La tessera è revocata"),
    ("changed_meanwhile", "Un'altra richiesta ha cambiato prima la tessera: non è stato fatto nulla"),
    ("channel_not_allowed", "Un valore non è accettabile"),
    ("citizen_missing", "L'operazione richiede il certificato di un cittadino (Client-Cert)"),
    ("consent_not_asked_for", "Questo consenso non viene più chiesto"),
    ("consent_not_in_force", "Non c'è un consenso da revocare"),
    ("consent_text_not_in_use", "Il testo di questo consenso non è quello in vigore"),
    ("contact_gone", "Il recapito non è più conservato: va indicato di nuovo, o vanno ristampati i codici"),
    ("contacts_differ", "Il recapito scritto la seconda volta è diverso"),
    ("data_processing_missing", "Un valore non è accettabile"),
    ("declaration_missing", "Un valore non è accettabile"),
    ("delivery_cancelled", "La consegna è stata annullata"),
    ("delivery_delivered", "Il messaggio è stato consegnato"),
    ("delivery_none", "La tessera non ha consegne"),
    ("delivery_not_found", "Nessuna consegna con questo identificativo"),
    (
        "delivery_sent",
        "Un gateway ha già il messaggio: rinviarlo allo stesso recapito, o ristampare i codici",
    ),
    ("delivery_superseded", "Una consegna successiva della tessera ha preso il suo posto"),
    ("delivery_under_way", "Il messaggio deve ancora partire: non c'è nulla da rinviare"),
    ("document_expired", "Un valore non è accettabile"),
    ("document_expires_before_issue", "Un valore non è accettabile"),
    ("document_expiry_missing", "Un valore non è accettabile"),
    ("document_issued_in_future", "Un valore non è accettabile"),
    ("document_missing", "Un valore non è accettabile"),
    ("forged_client_cert", "Questo chiamante non può inoltrare certificati di operatori"),
    ("former_card_expired", "La tessera di prima è scaduta"),
    ("former_card_not_active", "La tessera di prima non è attiva"),
    ("former_card_not_in_person", "La tessera di prima non è stata attivata di persona"),
    ("generation_changed", "Il codice è stato rifatto: il rapporto riguarda quello di prima"),
    ("holder_is_minor", "Un valore non è accettabile"),
    ("household_missing", "Un valore non è accettabile"),
    ("idempotency_key_missing", "L'operazione richiede l'intestazione Idempotency-Key"),
    ("idempotency_key_reused", "L'Idempotency-Key è già stata usata per un'altra richiesta"),
    ("in_progress", "La prima richiesta con questa Idempotency-Key è ancora in corso: riprovare"),
    ("internal", "Errore interno"),
    ("invalid_body", "La richiesta non ha i campi di questa operazione"),
    ("invalid_value", "Un valore non è accettabile"),
    ("kind_not_shown", "Un valore non è accettabile"),
    ("language_not_allowed", "Un valore non è accettabile"),
    ("lease_lost", "La consegna non è più affidata con questo identificativo"),
    ("lifetime_reached", "Il C.I.P. ha avuto tutti i tentativi errati che può avere: ne serve uno nuovo"),
    ("malformed_json", "La richiesta non è in formato JSON"),
    ("method_not_allowed", "Per questo percorso il metodo è un altro"),
    ("minor_needs_parent_or_guardian", "Un valore non è accettabile"),
    (
        "no_accepted_verification",
        "Non c'è, o non c'è più, una verifica riuscita del C.I.P. di questa tessera per questo scopo",
    ),
    ("no_cip", "La tessera non ha il C.I.P."),
    ("no_former_card", "La tessera non ne rinnova un'altra"),
    (
        "no_open_registration",
        "Non c'è, o non c'è più, una registrazione aperta di questa carta presso questo front end",
    ),
    ("no_such_path", "Il percorso non esiste"),
    ("not_allowed", "Le regole non consentono questa operazione a questo chiamante"),
    (
        "not_allowed_on_card",
        "Le regole non consentono a questo operatore questa operazione su questa tessera",
    ),
    ("not_locked", "Il C.I.P. non è bloccato: restano tentativi"),
    ("operator_bad_common_name", OPERATOR),
    ("operator_bad_issuer", OPERATOR),
    ("operator_bad_signature", OPERATOR),
    ("operator_bad_tax_code", OPERATOR),
    ("operator_ca_not_valid", OPERATOR),
    ("operator_ca_revoked", OPERATOR),
    ("operator_chain_too_long", OPERATOR),
    ("operator_crl_bad_signature", OPERATOR),
    ("operator_crl_malformed", OPERATOR),
    ("operator_crl_missing", OPERATOR),
    ("operator_crl_not_yet_valid", OPERATOR),
    ("operator_crl_other_scope", OPERATOR),
    ("operator_crl_stale", OPERATOR),
    ("operator_crl_unsupported", OPERATOR),
    ("operator_crl_wrong_issuer", OPERATOR),
    ("operator_duplicate_extension", OPERATOR),
    ("operator_expired", OPERATOR),
    (
        "operator_former_card",
        "Questa carta è stata sostituita o cancellata: non può essere registrata di nuovo",
    ),
    ("operator_is_ca", OPERATOR),
    ("operator_is_proxy", "Nessuno opera per una tessera per cui è delegato: deve farlo un altro operatore"),
    ("operator_malformed", OPERATOR),
    ("operator_missing", "L'operazione richiede il certificato di un operatore (Client-Cert)"),
    ("operator_missing_policy", OPERATOR),
    ("operator_name_constraint", OPERATOR),
    ("operator_not_allowed", "Le regole non consentono questa operazione a questo operatore"),
    ("operator_not_registered", "L'operatore deve prima registrare questa carta"),
    ("operator_not_yet_valid", OPERATOR),
    ("operator_on_hold", OPERATOR),
    ("operator_other_card", "L'operatore ha registrato un'altra carta"),
    ("operator_path_length", OPERATOR),
    ("operator_revoked", OPERATOR),
    ("operator_too_large", OPERATOR),
    ("operator_unknown_ca", OPERATOR),
    ("operator_unknown_critical_extension", OPERATOR),
    ("operator_weak_key", OPERATOR),
    ("operator_weak_signature", OPERATOR),
    ("operator_wrong_extended_key_usage", OPERATOR),
    ("operator_wrong_key_usage", OPERATOR),
    (
        "outcome_unknown",
        "L'esito della prima richiesta con questa Idempotency-Key non è noto: controllare la tessera",
    ),
    ("own_card", "Nessuno opera sulla propria tessera: deve farlo un altro operatore"),
    ("parent_of_adult", "Un valore non è accettabile"),
    ("parents_not_allowed_in_region", "Un valore non è accettabile"),
    ("policy_refused", "Le regole nella cartella sono rifiutate; restano quelle in vigore"),
    ("proxy_is_holder", "Un valore non è accettabile"),
    ("proxy_is_minor", "Un valore non è accettabile"),
    ("proxy_title_not_allowed", "Un valore non è accettabile"),
    ("reader_already_handed_over", "Il titolare, o la sua famiglia, ha già ricevuto il lettore"),
    ("reader_kind_not_offered", "Un valore non è accettabile"),
    ("reader_out_of_stock", "L'ufficio non ha più lettori"),
    ("reader_stock_too_large", "L'ufficio non può avere tanti lettori"),
    ("renewal_other_card", "La carta con cui si è fatto l'accesso non è quella che viene rinnovata"),
    ("renewal_other_holder", "La tessera non è del titolare del certificato"),
    ("renewal_other_issuer", "Le due tessere sono di enti diversi"),
    ("report_not_allowed", "Le regole non permettono questo report a questo operatore"),
    ("report_too_large", "Il report ha troppe righe"),
    ("second_part_differs", "Per questa generazione è nota un'altra seconda parte"),
    ("tag_not_expected", "Un valore non è accettabile"),
    ("text_not_found", "Nessun testo con questo identificativo"),
    ("too_many_lines", "Il lotto ha più righe di quelle ammesse"),
    ("too_many_reprints", "La tessera ha già avuto le ristampe permesse in questo periodo"),
    ("too_many_requests", "Per ora è stato raggiunto un limite di richieste"),
    ("unavailable", "Servizio non disponibile"),
    ("unknown_caller", "Il certificato non è di un chiamante conosciuto"),
    ("unknown_consent", "Un valore non è accettabile"),
    ("unknown_document_kind", "Un valore non è accettabile"),
    ("unknown_operator", "L'operatore non è nell'elenco, o non lo è oggi"),
    ("unknown_reason", "Un valore non è accettabile"),
    ("unlocks_too_many", "La tessera è già stata sbloccata quante volte è permesso in questo periodo"),
    ("wrong_media_type", "Il tipo del contenuto non è quello richiesto"),
];

const OPERATOR: &str = "Il certificato dell'operatore non è accettato";

/// What is said about a case. `{}` stands for the same piece of text in both.
pub const DETAILS: &[(&str, &str)] = &[
    // Parsers of the domain.
    ("a language is de, fr, it or sl", "una lingua è de, fr, it o sl"),
    (
        "+39 is followed by a mobile number: 3 and 8 or 9 digits more",
        "+39 è seguito da un numero di cellulare: 3 e altre 8 o 9 cifre",
    ),
    (
        "a date is a day of the calendar written YYYY-MM-DD",
        "una data è un giorno del calendario scritto AAAA-MM-GG",
    ),
    (
        "a mobile number is + and 7 to 15 digits, the country code first, and nothing else",
        "un numero di cellulare è + e da 7 a 15 cifre, prima il prefisso del paese, e nient'altro",
    ),
    (
        "a tax code has 16 characters, or 11 if provisional",
        "il codice fiscale ha 16 caratteri, o 11 se provvisorio",
    ),
    ("an e-mail address has 3 to {} bytes", "un indirizzo e-mail ha da 3 a {} byte"),
    ("an e-mail address has exactly one @", "un indirizzo e-mail ha una sola @"),
    (
        "an identifier is 32 lower-case hexadecimal digits",
        "un identificativo è di 32 cifre esadecimali minuscole",
    ),
    ("character {} of the number must be a digit", "il carattere {} del numero deve essere una cifra"),
    (
        "character {} of the tax code must be a digit",
        "il carattere {} del codice fiscale deve essere una cifra",
    ),
    (
        "character {} of the tax code must be a letter",
        "il carattere {} del codice fiscale deve essere una lettera",
    ),
    ("no such reason for revocation", "non è un motivo di revoca"),
    (
        "the check character of the tax code is wrong",
        "il carattere di controllo del codice fiscale è sbagliato",
    ),
    (
        "the domain is not two or more names of letters, digits and inner hyphens",
        "il dominio non è di due o più nomi di lettere, cifre e trattini interni",
    ),
    ("the number must have {} digits", "il numero deve avere {} cifre"),
    ("the number must start with {}", "il numero deve cominciare con {}"),
    (
        "the part before @ is not 1 to 64 letters, digits, inner dots and {}",
        "la parte prima di @ non è di 1-64 lettere, cifre, punti interni e {}",
    ),
    (
        "the tax code holds no valid day of birth",
        "il codice fiscale non contiene un giorno di nascita valido",
    ),
    (
        "the tax code holds no valid month of birth",
        "il codice fiscale non contiene un mese di nascita valido",
    ),
    ("there is no such channel", "il canale non esiste"),
    // Reading of requests.
    ("a chain without a certificate", "una catena senza certificato"),
    ("at most 10000 lines", "al massimo 10000 righe"),
    ("must be \"email\" or \"sms\"", "deve essere \"email\" o \"sms\""),
    ("must be \"revocation\"", "deve essere \"revocation\""),
    ("must be 0 to 64 digits", "deve essere di 0-64 cifre"),
    ("must be 1 to 100", "deve essere da 1 a 100"),
    ("must be 64 hexadecimal digits", "deve essere di 64 cifre esadecimali"),
    ("must be at most 200 printable characters", "deve essere di al massimo 200 caratteri stampabili"),
    ("must be base64 of a signature", "deve essere una firma in base64"),
    ("must be base64, padded", "deve essere base64 con il riempimento"),
    ("must be given with expires_on", "va indicato insieme a expires_on"),
    ("must be given with generation", "va indicato insieme a generation"),
    ("must be given with second_part_tag", "va indicato insieme a second_part_tag"),
    ("must be given with tax_code", "va indicato insieme a tax_code"),
    ("must be given with the status prepared only", "va indicato solo con lo stato prepared"),
    (
        "must be given with the status waiting, and with no other",
        "va indicato con lo stato waiting e con nessun altro",
    ),
    ("must be given, or approval in its place", "va indicato, oppure al suo posto approval"),
    ("not ASCII", "non è ASCII"),
    ("not base64 between colons", "non è base64 tra due punti"),
    ("the connection ends", "la connessione viene chiusa"),
    ("the header is there twice", "l'intestazione è presente due volte"),
    // The service.
    (
        "given exactly when the delivery has a C.I.P.",
        "va indicato solo se la consegna ha un C.I.P., e sempre in quel caso",
    ),
    ("not one of the policy's languages", "non è una delle lingue previste"),
    ("not one of the policy's channels", "non è uno dei canali previsti"),
    ("not one of the policy's reasons", "non è uno dei motivi previsti"),
    ("not signed by this authority", "non è firmato da questa autorità"),
    (
        "not the card's signature over the text of this registration",
        "non è la firma della carta sul testo di questa registrazione",
    ),
    ("of another log", "è di un altro registro"),
    // Certificates of operators' cards.
    ("a certificate is larger than any card's", "un certificato è più grande di quello di qualunque carta"),
    (
        "a certificate of the chain is not that of an authority",
        "un certificato della catena non è di un'autorità",
    ),
    ("a critical extension is not understood", "un'estensione critica non è conosciuta"),
    ("a signature of the chain does not hold", "una firma della catena non è valida"),
    (
        "a signature of the chain is of a kind that is not accepted",
        "una firma della catena è di un tipo non accettato",
    ),
    (
        "an authority may not have so many authorities below it",
        "un'autorità non può averne tante sotto di sé",
    ),
    (
        "an authority may not issue certificates for this name",
        "un'autorità non può emettere certificati per questo nome",
    ),
    (
        "an authority of the chain is out of date",
        "il certificato di un'autorità della catena è fuori validità",
    ),
    ("an authority of the chain is revoked", "il certificato di un'autorità della catena è revocato"),
    ("an extension is there twice", "un'estensione è presente due volte"),
    ("more certificates than a chain may have", "la catena ha più certificati di quelli ammessi"),
    ("no trusted authority issued the certificate", "nessuna autorità riconosciuta ha emesso il certificato"),
    ("not one X.509 certificate of version 3", "non è un certificato X.509 versione 3"),
    ("the authority's revocation list cannot be read", "la lista di revoca dell'autorità non è leggibile"),
    (
        "the authority's revocation list is for other certificates",
        "la lista di revoca dell'autorità riguarda altri certificati",
    ),
    (
        "the authority's revocation list is from the future",
        "la lista di revoca dell'autorità ha una data futura",
    ),
    ("the authority's revocation list is not signed by it", "la lista di revoca non è firmata dall'autorità"),
    (
        "the authority's revocation list is of a kind that is not supported",
        "la lista di revoca dell'autorità è di un tipo non gestito",
    ),
    ("the authority's revocation list is out of date", "la lista di revoca dell'autorità non è aggiornata"),
    ("the certificate has expired", "il certificato è scaduto"),
    (
        "the certificate has none of the policies of operators' cards",
        "il certificato non ha alcuna delle policy delle carte degli operatori",
    ),
    (
        "the certificate is not for client authentication",
        "il certificato non è per l'autenticazione di un client",
    ),
    ("the certificate is not yet valid", "il certificato non è ancora valido"),
    ("the certificate is on hold", "il certificato è sospeso"),
    ("the certificate is revoked", "il certificato è revocato"),
    ("the certificate is that of an authority", "il certificato è di un'autorità"),
    (
        "the certificate's key is not for authentication alone",
        "la chiave del certificato non è per la sola autenticazione",
    ),
    (
        "the common name is not one `C.F./ID_Carta.hash` of a CNS card",
        "il common name non è `C.F./ID_Carta.hash` di una CNS",
    ),
    (
        "the key is neither RSA of 2048 to 8192 bits nor on P-256 or P-384",
        "la chiave non è RSA da 2048 a 8192 bit né su P-256 o P-384",
    ),
    ("the revocation list is that of another authority", "la lista di revoca è di un'altra autorità"),
    ("the tax code in the common name is not valid", "il codice fiscale nel common name non è valido"),
    ("there is no revocation list of the authority", "manca la lista di revoca dell'autorità"),
    // Applicants, histories, reports, consents, readers.
    (
        "a free reader is one for the household, which must be named",
        "il lettore gratuito è uno per famiglia, che va indicata",
    ),
    (
        "more rows in one stretch of time than fit: fewer things to tell apart, or more filters",
        "troppe righe in un solo intervallo: distinguere meno voci, o usare più filtri",
    ),
    (
        "must be \"change_contact\", \"renew_cip\", \"revoke\" or \"unlock\"",
        "deve essere \"change_contact\", \"renew_cip\", \"revoke\" o \"unlock\"",
    ),
    ("must be \"holder\" or \"proxy\"", "deve essere \"holder\" o \"proxy\""),
    ("must be \"newest\" or \"oldest\"", "deve essere \"newest\" o \"oldest\""),
    ("must be \"this\" or \"all\"", "deve essere \"this\" o \"all\""),
    ("must be 1 to 200", "deve essere da 1 a 200"),
    ("must be 1 to 32 kinds", "devono essere da 1 a 32 tipi"),
    ("must be absent or false where the holder asks", "deve mancare o essere false se chiede il titolare"),
    ("must be absent where the holder asks", "deve mancare se chiede il titolare"),
    (
        "must be given for \"change_contact\", and for nothing else",
        "va indicato per \"change_contact\", e per nient'altro",
    ),
    ("must be given where a proxy asks", "va indicato se chiede un delegato"),
    ("must be given with a cursor", "va indicato insieme a un cursore"),
    ("must be given with cards = \"all\" only", "va indicato solo con cards = \"all\""),
    ("must be given without all_offices", "va indicato senza all_offices"),
    ("must be given, or counted in its place", "va indicato, o al suo posto il conteggio"),
    ("must be kinds of event", "devono essere tipi di evento"),
    ("must be not before from", "non può essere prima di from"),
    (
        "must be one stretch of time at most, and each thing once",
        "al più un intervallo di tempo, e ogni voce una volta sola",
    ),
    (
        "must be outcomes of events or states of deliveries",
        "devono essere esiti di eventi o stati di consegne",
    ),
    ("must be within 3660 days from the first one", "deve essere entro 3660 giorni dal primo"),
    (
        "not given to this operator for this card and this query",
        "non è stato dato a questo operatore per questa tessera e questa ricerca",
    ),
    ("not one of the policy's kinds", "non è uno dei tipi previsti dalle regole"),
    (
        "the policy does not hand readers over in this way",
        "le regole non prevedono lettori consegnati in questo modo",
    ),
];

/// Codes whose detail is made of names of the policy set, which are in no language.
const NAMES: [&str; 3] = ["not_allowed_on_card", "operator_not_allowed", "too_many_requests"];

/// The title of a code; nothing for one that is not in the table.
pub fn title(code: &str) -> Option<&'static str> {
    TITLES.iter().find(|(of, _)| *of == code).map(|(_, title)| *title)
}

/// What the detail of a problem says; nothing for one that is not in the table.
pub fn detail(code: &str, english: &str) -> Option<String> {
    if NAMES.contains(&code) {
        return Some(english.to_owned());
    }
    DETAILS.iter().find_map(|(from, to)| match from.split_once("{}") {
        None => (*from == english).then(|| (*to).to_owned()),
        Some((before, after)) => {
            let inner = english.strip_prefix(before)?.strip_suffix(after)?;
            Some(to.replace("{}", inner))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_detail_is_the_same_in_both() {
        let of = |english| detail("invalid_value", english);
        assert_eq!(
            of("the number must start with 8038000").as_deref(),
            Some("il numero deve cominciare con 8038000")
        );
        assert_eq!(of("the certificate has expired").as_deref(), Some("il certificato è scaduto"));
        assert_eq!(of("nobody has written this yet"), None);
        assert_eq!(detail("too_many_requests", "operator.look_ups").as_deref(), Some("operator.look_ups"));
    }

    #[test]
    fn one_text_for_each_in_order() {
        assert!(TITLES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (english, italian) in DETAILS {
            assert_eq!(english.matches("{}").count(), italian.matches("{}").count(), "{english}");
            assert!(DETAILS.iter().filter(|(other, _)| other == english).count() == 1, "{english}");
        }
    }
}
