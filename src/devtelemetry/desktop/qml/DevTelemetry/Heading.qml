import QtQuick

Paragraph {
    font.pixelSize: Theme.headingSize
    font.weight: Font.DemiBold

    Accessible.role: Accessible.Heading
}
