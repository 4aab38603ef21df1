<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
<context>
    <name>AdvancedSettings</name>
    <message>
        <source>Advanced settings</source>
        <translation>Erweiterte Einstellungen</translation>
    </message>
    <message>
        <source>This build of the app does not offer telemetry.</source>
        <translation>Diese Fassung der App bietet keine Telemetrie an.</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Save</source>
        <translation>Speichern</translation>
    </message>
</context>
<context>
    <name>OptInDialog</name>
    <message>
        <source>Send reliability telemetry?</source>
        <translation>Zuverlässigkeits-Telemetrie senden?</translation>
    </message>
    <message>
        <source>The developers learn from it how reliably messages arrive, and find out why some get lost.</source>
        <translation>Daraus erfahren die Entwickler, wie zuverlässig Nachrichten ankommen, und finden heraus, warum manche verloren gehen.</translation>
    </message>
    <message>
        <source>What is sent</source>
        <translation>Was gesendet wird</translation>
    </message>
    <message>
        <source>One small report for each message that you send or receive: message id, channel id, when it was sent and received, topics and id of the envelope that carried it, the type and size of the message, and whether you wrote it.</source>
        <translation>Eine kleine Meldung je Nachricht, die du sendest oder empfängst: Kennung der Nachricht und des Kanals, wann sie gesendet und empfangen wurde, Themen und Kennung des Umschlags, in dem sie kam, Art und Größe der Nachricht, und ob du sie geschrieben hast.</translation>
    </message>
    <message>
        <source>With the reports: this app&apos;s platform and version, a random id of this installation, a running number, the time, and when you joined or left a channel. At least every half hour a sign that the app is running.</source>
        <translation>Mit den Meldungen: Plattform und Version dieser App, eine zufällige Kennung dieser Installation, eine laufende Nummer, die Uhrzeit, und wann du einem Kanal beigetreten bist oder ihn verlassen hast. Mindestens jede halbe Stunde ein Zeichen, dass die App läuft.</translation>
    </message>
    <message>
        <source>Your public key itself, because you have set it so.</source>
        <translation>Dein öffentlicher Schlüssel selbst, weil du es so eingestellt hast.</translation>
    </message>
    <message>
        <source>Instead of your public key, a pseudonym.</source>
        <translation>Statt deines öffentlichen Schlüssels ein Pseudonym.</translation>
    </message>
    <message>
        <source>Message, channel and envelope ids only blinded, and no topics, because you have set it so.</source>
        <translation>Die Kennungen von Nachrichten, Kanälen und Umschlägen nur verschleiert, und keine Themen, weil du es so eingestellt hast.</translation>
    </message>
    <message>
        <source>Never the content of a message.</source>
        <translation>Niemals der Inhalt einer Nachricht.</translation>
    </message>
    <message>
        <source>To whom</source>
        <translation>An wen</translation>
    </message>
    <message>
        <source>To the server %1.</source>
        <translation>An den Server %1.</translation>
    </message>
    <message>
        <source>To the server that the app names; no other is set here.</source>
        <translation>An den Server, den die App vorgibt; hier ist kein anderer eingestellt.</translation>
    </message>
    <message>
        <source>Whoever runs the server can see from the reports who is in which channel with whom, and when each device is online.</source>
        <translation>Wer den Server betreibt, kann aus den Meldungen sehen, wer mit wem in welchem Kanal ist und wann welches Gerät online ist.</translation>
    </message>
    <message>
        <source>For how long</source>
        <translation>Wie lange</translation>
    </message>
    <message>
        <source>The server deletes the reports after 7 days. Which channels this installation is in, and when it last reported, it keeps until you leave. Figures that name nobody stay.</source>
        <translation>Der Server löscht die Meldungen nach 7 Tagen. In welchen Kanälen diese Installation ist und wann sie zuletzt gemeldet hat, behält er, bis du aussteigst. Zahlen, die niemanden nennen, bleiben.</translation>
    </message>
    <message>
        <source>How to leave</source>
        <translation>Wie du aussteigst</translation>
    </message>
    <message>
        <source>Switch it off. That stops it at once, wipes what is queued on this device, and asks the server to delete what it got.</source>
        <translation>Schalte es aus. Das beendet es sofort, löscht, was auf diesem Gerät noch wartet, und bittet den Server, zu löschen, was er bekommen hat.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Turn on</source>
        <translation>Einschalten</translation>
    </message>
</context>
<context>
    <name>ProblemNote</name>
    <message>
        <source>The server cannot be reached</source>
        <translation>Der Server ist nicht erreichbar</translation>
    </message>
    <message>
        <source>Reports wait on this device and are sent when it answers. If this lasts, check your connection and the server&apos;s address.</source>
        <translation>Die Meldungen warten auf diesem Gerät und werden gesendet, sobald er antwortet. Hält das an, prüfe deine Verbindung und die Adresse des Servers.</translation>
    </message>
    <message>
        <source>The server asked to wait</source>
        <translation>Der Server bittet um Geduld</translation>
    </message>
    <message>
        <source>There is nothing to do: the app tries again by itself.</source>
        <translation>Es ist nichts zu tun: Die App versucht es von selbst wieder.</translation>
    </message>
    <message>
        <source>The server does not accept the token</source>
        <translation>Der Server nimmt das Token nicht an</translation>
    </message>
    <message>
        <source>Enter a valid token below. Whoever runs the server can give you one.</source>
        <translation>Trage unten ein gültiges Token ein. Wer den Server betreibt, kann dir eines geben.</translation>
    </message>
    <message>
        <source>The server could not read what was sent</source>
        <translation>Der Server konnte das Gesendete nicht lesen</translation>
    </message>
    <message>
        <source>Check that the address below is that of a telemetry server. If it is, update the app.</source>
        <translation>Prüfe, ob die Adresse unten zu einem Telemetrie-Server gehört. Wenn ja, aktualisiere die App.</translation>
    </message>
    <message>
        <source>The server has a fault</source>
        <translation>Der Server hat eine Störung</translation>
    </message>
    <message>
        <source>No server is set</source>
        <translation>Kein Server ist eingestellt</translation>
    </message>
    <message>
        <source>Enter the address of one below.</source>
        <translation>Trage unten die Adresse eines Servers ein.</translation>
    </message>
    <message>
        <source>Reports cannot be stored on this device</source>
        <translation>Meldungen lassen sich auf diesem Gerät nicht speichern</translation>
    </message>
    <message>
        <source>Check that the disk has free space.</source>
        <translation>Prüfe, ob auf dem Datenträger Platz ist.</translation>
    </message>
    <message>
        <source>Nothing can be sent just now</source>
        <translation>Gerade kann nichts gesendet werden</translation>
    </message>
</context>
<context>
    <name>SentRow</name>
    <message>
        <source>As it is sent</source>
        <translation>So wie es gesendet wird</translation>
    </message>
</context>
<context>
    <name>SentSheet</name>
    <message>
        <source>With every push: who reports</source>
        <translation>Bei jeder Sendung: wer meldet</translation>
    </message>
    <message>
        <source>Report %1: %2</source>
        <comment>a number and what became of it</comment>
        <translation>Meldung %1: %2</translation>
    </message>
    <message>
        <source>waiting</source>
        <translation>wartet</translation>
    </message>
    <message>
        <source>under way</source>
        <translation>unterwegs</translation>
    </message>
    <message>
        <source>acknowledged</source>
        <translation>bestätigt</translation>
    </message>
    <message>
        <source>set aside</source>
        <translation>zurückgelegt</translation>
    </message>
    <message>
        <source>What is sent</source>
        <translation>Was gesendet wird</translation>
    </message>
    <message>
        <source>This goes to the server, field by field, with the number of the report and the time of sending. The newest is on top; what is done with stays here for a day.</source>
        <translation>Das geht an den Server, Feld für Feld, mit der Nummer der Meldung und der Zeit des Sendens. Das Neueste steht oben; was erledigt ist, bleibt einen Tag lang hier.</translation>
    </message>
    <message>
        <source>Nothing: telemetry is off.</source>
        <translation>Nichts: Die Telemetrie ist aus.</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Kopiert</translation>
    </message>
    <message>
        <source>Copy as JSON</source>
        <translation>Als JSON kopieren</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
</context>
<context>
    <name>StateCard</name>
    <message>
        <source>Not reachable</source>
        <translation>Nicht erreichbar</translation>
    </message>
    <message>
        <source>Busy</source>
        <translation>Ausgelastet</translation>
    </message>
    <message>
        <source>Does not accept the token</source>
        <translation>Nimmt das Token nicht an</translation>
    </message>
    <message>
        <source>Does not take reports</source>
        <translation>Nimmt keine Meldungen an</translation>
    </message>
    <message>
        <source>Has a fault</source>
        <translation>Hat eine Störung</translation>
    </message>
    <message>
        <source>None is set</source>
        <translation>Keiner eingestellt</translation>
    </message>
    <message>
        <source>On since</source>
        <translation>Eingeschaltet seit</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>Server</translation>
    </message>
    <message>
        <source>Reachable</source>
        <translation>Erreichbar</translation>
    </message>
    <message>
        <source>Nothing sent yet</source>
        <translation>Noch nichts gesendet</translation>
    </message>
    <message>
        <source>Last sent</source>
        <translation>Zuletzt gesendet</translation>
    </message>
    <message>
        <source>never</source>
        <translation>nie</translation>
    </message>
    <message>
        <source>Reports on this device, to be sent</source>
        <translation>Meldungen auf diesem Gerät, die noch zu senden sind</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>Wartend</translation>
    </message>
    <message>
        <source>Reports that the server has</source>
        <translation>Meldungen, die der Server hat</translation>
    </message>
    <message>
        <source>Acknowledged</source>
        <translation>Bestätigt</translation>
    </message>
    <message>
        <source>Reports lost on this device: too many were waiting, or the power failed</source>
        <translation>Auf diesem Gerät verlorene Meldungen: Es warteten zu viele, oder der Strom fiel aus</translation>
    </message>
    <message>
        <source>Dropped</source>
        <translation>Verworfen</translation>
    </message>
    <message>
        <source>Reports that the server refused, or that cannot be sent; each has its reason</source>
        <translation>Meldungen, die der Server abgelehnt hat oder die nicht gesendet werden können; bei jeder steht der Grund</translation>
    </message>
    <message>
        <source>Reports set aside here because the app said them wrongly; its makers can repair it: %1</source>
        <translation>Meldungen, die hier zurückgelegt wurden, weil die App sie falsch angibt; das können ihre Hersteller beheben: %1</translation>
    </message>
    <message>
        <source>Errors of the app</source>
        <translation>Fehler der App</translation>
    </message>
    <message>
        <source>Messages sent before you opted in; nothing is kept of them</source>
        <translation>Nachrichten von vor dem Einschalten; von ihnen wird nichts behalten</translation>
    </message>
    <message>
        <source>From before</source>
        <translation>Von vorher</translation>
    </message>
    <message>
        <source>Set aside</source>
        <translation>Zurückgelegt</translation>
    </message>
</context>
<context>
    <name>StateRow</name>
    <message>
        <source>%1: %2</source>
        <comment>a fact and its value</comment>
        <translation>%1: %2</translation>
    </message>
</context>
<context>
    <name>TelemetrySection</name>
    <message>
        <source>That did not work</source>
        <translation>Das ging nicht</translation>
    </message>
    <message>
        <source>To leave, switch it off: that stops it at once, wipes what is queued on this device, and asks the server to delete what it got.</source>
        <translation>Zum Aussteigen ausschalten: Das beendet es sofort, löscht, was auf diesem Gerät noch wartet, und bittet den Server, zu löschen, was er bekommen hat.</translation>
    </message>
    <message>
        <source>Helps the developers to find out where messages get lost. Off unless you switch it on.</source>
        <translation>Hilft den Entwicklern herauszufinden, wo Nachrichten verloren gehen. Aus, solange du es nicht einschaltest.</translation>
    </message>
    <message>
        <source>Send reliability telemetry</source>
        <translation>Zuverlässigkeits-Telemetrie senden</translation>
    </message>
    <message>
        <source>Nothing is recorded or sent any more, and what was queued here is wiped. The server is asked to delete what it got, until it says that it did.</source>
        <translation>Es wird nichts mehr aufgezeichnet oder gesendet, und was hier noch wartete, ist gelöscht. Der Server wird gebeten, zu löschen, was er bekommen hat, bis er es bestätigt.</translation>
    </message>
    <message>
        <source>Nothing is recorded or sent any more, what was queued here is wiped, and no server keeps reports of this installation.</source>
        <translation>Es wird nichts mehr aufgezeichnet oder gesendet, was hier noch wartete, ist gelöscht, und kein Server behält Meldungen dieser Installation.</translation>
    </message>
    <message>
        <source>Asked to forget</source>
        <translation>Um Löschung gebeten</translation>
    </message>
    <message>
        <source>Telemetry is off</source>
        <translation>Die Telemetrie ist aus</translation>
    </message>
    <message>
        <source>What is sent</source>
        <translation>Was gesendet wird</translation>
    </message>
    <message>
        <source>Each report with all its fields, and what became of it.</source>
        <translation>Jede Meldung mit allen Feldern, und was aus ihr wurde.</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>Anzeigen</translation>
    </message>
    <message>
        <source>HOST:PORT. Empty: the app&apos;s own, %1. Another server is no opt-out: the one before keeps what it got until you leave.</source>
        <translation>HOST:PORT. Leer: der Server der App, %1. Den Server zu wechseln ist kein Ausstieg: Der bisherige behält, was er hat, bis du aussteigst.</translation>
    </message>
    <message>
        <source>HOST:PORT. Empty: the one that the app names. Another server is no opt-out: the one before keeps what it got until you leave.</source>
        <translation>HOST:PORT. Leer: der Server, den die App vorgibt. Den Server zu wechseln ist kein Ausstieg: Der bisherige behält, was er hat, bis du aussteigst.</translation>
    </message>
    <message>
        <source>From the next report on, the server gets values that only members of a channel can make from the ids, and no topics. Reports of a channel can be compared only if all of its members choose alike, and an id that can be guessed can still be tried.</source>
        <translation>Von der nächsten Meldung an bekommt der Server Werte, die nur Mitglieder eines Kanals aus den Kennungen bilden können, und keine Themen. Meldungen eines Kanals lassen sich nur vergleichen, wenn alle seine Mitglieder gleich wählen, und eine Kennung, die sich erraten lässt, lässt sich trotzdem ausprobieren.</translation>
    </message>
    <message>
        <source>Server address</source>
        <translation>Adresse des Servers</translation>
    </message>
    <message>
        <source>For servers that ask for one. Once saved, it is not shown again.</source>
        <translation>Für Server, die eines verlangen. Einmal gespeichert, wird es nicht wieder angezeigt.</translation>
    </message>
    <message>
        <source>A token is stored</source>
        <translation>Ein Token ist gespeichert</translation>
    </message>
    <message>
        <source>Token</source>
        <translation>Token</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Off: a pseudonym goes in its place, made with a secret that never leaves this device. On: whoever reads the server&apos;s data sees which messages are yours, on all your devices.</source>
        <translation>Aus: An seiner Stelle geht ein Pseudonym hinaus, gebildet mit einem Geheimnis, das dieses Gerät nie verlässt. An: Wer die Daten des Servers liest, sieht, welche Nachrichten deine sind, auf allen deinen Geräten.</translation>
    </message>
    <message>
        <source>Send my public key itself</source>
        <translation>Meinen öffentlichen Schlüssel selbst senden</translation>
    </message>
    <message>
        <source>Blind message and channel ids</source>
        <translation>Kennungen von Nachrichten und Kanälen verschleiern</translation>
    </message>
</context>
<context>
    <name>Theme</name>
    <message>
        <source>today, %1</source>
        <translation>heute, %1</translation>
    </message>
    <message>
        <source>%1, %2</source>
        <comment>a day and a time</comment>
        <translation>%1, %2</translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>Advanced settings</source>
        <translation>Erweiterte Einstellungen</translation>
    </message>
</context>
</TS>
